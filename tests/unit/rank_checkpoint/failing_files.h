// The real file system, but for paths that contain a word: full when written, damaged when read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/file_system.h"

namespace muster::rank {

class FailingFiles : public checkpoint::FileSystem {
 public:
  explicit FailingFiles(std::string word) : word_(std::move(word)) {}

  bool damaged = false;  // fail reads instead of writes

  absl::StatusOr<std::unique_ptr<checkpoint::WritableFile>> Create(
      const std::string& path) override {
    if (!damaged && Hit(path)) {
      return absl::ResourceExhaustedError("write " + path + ": no space left on device");
    }
    return real_.Create(path);
  }
  absl::StatusOr<std::unique_ptr<checkpoint::WritableFile>> CreateAfter(const std::string& path,
                                                                        uint64_t keep) override {
    return real_.CreateAfter(path, keep);
  }
  absl::StatusOr<std::unique_ptr<checkpoint::ReadableFile>> Open(const std::string& path) override {
    if (damaged && Hit(path)) return absl::DataLossError(path + ": chunk 0 fails its checksum");
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
  absl::StatusOr<std::vector<checkpoint::FolderEntry>> List(const std::string& path) override {
    return real_.List(path);
  }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& folder) override {
    return real_.FreeBytes(folder);
  }

 private:
  bool Hit(const std::string& path) const { return path.find(word_) != std::string::npos; }

  const std::string word_;
  checkpoint::FileSystem& real_ = checkpoint::PosixFiles();
};

}  // namespace muster::rank
