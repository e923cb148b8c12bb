// The library's file system on a simulated disk, with a gate before every call.
//
// The gate may look (take a copy of the disk: that is the instant of a crash), wait for another
// actor's turn, or refuse. A refused write leaves half of its bytes.
//
// Threads: as the gate arranges; the disk itself knows none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/checkpoint/simulated_disk.h"

namespace muster::checkpoint {

class DiskFiles : public FileSystem {
 public:
  struct Call {
    const char* what;
    const std::string& path;
    bool changes;  // the disk, if it succeeds
  };
  using Gate = std::function<absl::Status(const Call&)>;

  explicit DiskFiles(SimulatedDisk disk = {})
      : owned_(std::make_unique<SimulatedDisk>(std::move(disk))), disk_(owned_.get()) {}
  // A second machine's view of the same disk.
  explicit DiskFiles(SimulatedDisk* shared) : disk_(shared) {}

  SimulatedDisk& disk() { return *disk_; }
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }

  // The i-th call from now (from 0) fails with `status`; the next ones work.
  void FailAt(int call, absl::Status status);
  int calls() const { return calls_; }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateAfter(const std::string& path,
                                                            uint64_t keep) override;
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Link(const std::string& existing, const std::string& name) override;
  absl::Status RemoveFile(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status MakeFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& folder) override;

 private:
  class Writer;
  class Reader;
  absl::Status Pass(const char* what, const std::string& path, bool changes);

  std::unique_ptr<SimulatedDisk> owned_;
  SimulatedDisk* disk_;
  Gate gate_;
  uint64_t capacity_ = UINT64_MAX;
  int calls_ = 0, fail_at_ = -1;
  absl::Status failure_;
};

}  // namespace muster::checkpoint
