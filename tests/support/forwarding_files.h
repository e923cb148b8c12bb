// The real file system, for tests that change one call of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/file_system.h"

namespace muster::checkpoint {

class ForwardingFiles : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    return real_.Create(path);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateAfter(const std::string& path,
                                                            uint64_t keep) override {
    return real_.CreateAfter(path, keep);
  }
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    return real_.Open(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_.Rename(from, to);
  }
  absl::Status Link(const std::string& existing, const std::string& name) override {
    return real_.Link(existing, name);
  }
  absl::Status RemoveFile(const std::string& path) override { return real_.RemoveFile(path); }
  absl::Status RemoveFolder(const std::string& path) override { return real_.RemoveFolder(path); }
  absl::Status MakeFolder(const std::string& path) override { return real_.MakeFolder(path); }
  absl::Status SyncFolder(const std::string& path) override { return real_.SyncFolder(path); }
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    return real_.List(path);
  }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& folder) override {
    return real_.FreeBytes(folder);
  }

 private:
  FileSystem& real_ = PosixFiles();
};

}  // namespace muster::checkpoint
