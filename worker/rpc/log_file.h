// Reads one output stream of one rank while it may still grow and rotate.
//
// The kept bytes of a stream are those of `<stream>.log.1` (the older half, if it was rotated) and
// then of `<stream>.log`. Positions count from their start, as they were when the file was opened.
//
// Threads: none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::worker::rpc {

class LogFile {
 public:
  // `path`: of the newest file, ".../stdout.log". It need not be there yet.
  explicit LogFile(std::string path) : path_(std::move(path)) {}
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  bool Exists() const;
  void SeekTo(uint64_t offset);            // beyond the end = at the end
  absl::Status SeekToTail(int64_t lines);  // this many lines before the end

  // The next bytes, at most `max`; empty at the end as it is now.
  absl::StatusOr<std::string> Read(size_t max);
  uint64_t offset() const { return offset_; }

 private:
  bool OpenFirst();
  bool MoveToNext();
  void Take(int file);

  std::string path_;
  int file_ = -1;
  ino_t inode_ = 0;
  uint64_t offset_ = 0;
};

// `<logs>/<job uid>/<attempt>/<rank>/<stream>.log`, by the job's id alone (a uid ends in
// "-<id>-<cluster>"). kNotFound when this node has no logs of that attempt.
absl::StatusOr<std::string> FindLog(const std::string& logs, uint64_t job, uint64_t attempt,
                                    uint32_t rank, const std::string& stream);

}  // namespace muster::worker::rpc
