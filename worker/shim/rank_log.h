// A rank's output: two files that rotate, and its last lines in memory.
//
// A full disk costs the log, never the training: bytes that cannot be written are dropped and
// counted, with one warning when that begins.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace muster::worker::shim {

inline constexpr size_t kLastLinesMax = 20;
inline constexpr size_t kLineBytesMax = 500;  // kept in memory of one line

// One file, `path`, and its predecessor, `path`.1.
class LogFile {
 public:
  LogFile(std::string path, uint64_t bytes_max);  // 0 = no rotation
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void Append(const char* bytes, size_t size);
  uint64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  void Open();
  void Drop(size_t size, int error);

  std::string path_;
  uint64_t bytes_max_;
  int fd_ = -1;
  uint64_t size_ = 0;
  uint64_t dropped_bytes_ = 0;
};

// The last whole lines of several streams; what is not UTF-8 is shown as '?'.
class LastLines {
 public:
  explicit LastLines(size_t streams) : open_lines_(streams) {}

  void Add(size_t stream, const char* bytes, size_t size);
  // Unfinished lines too.
  std::vector<std::string> All() const;

 private:
  void Finish(std::string* line);
  std::vector<std::string> open_lines_;
  std::deque<std::string> lines_;
};

// Makes `folder` and those above it.
absl::Status MakeFolders(const std::string& folder);

}  // namespace muster::worker::shim
