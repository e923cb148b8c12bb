// The real file system, but for paths that contain a word: full when written, damaged when read.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/support/forwarding_files.h"

namespace muster::rank {

class FailingFiles : public checkpoint::ForwardingFiles {
 public:
  explicit FailingFiles(std::string word) : word_(std::move(word)) {}

  bool damaged = false;  // fail reads instead of writes

  absl::StatusOr<std::unique_ptr<checkpoint::WritableFile>> Create(
      const std::string& path) override {
    if (!damaged && Hit(path)) {
      return absl::ResourceExhaustedError("write " + path + ": no space left on device");
    }
    return ForwardingFiles::Create(path);
  }
  absl::StatusOr<std::unique_ptr<checkpoint::ReadableFile>> Open(const std::string& path) override {
    if (damaged && Hit(path)) return absl::DataLossError(path + ": chunk 0 fails its checksum");
    return ForwardingFiles::Open(path);
  }

 private:
  bool Hit(const std::string& path) const { return path.find(word_) != std::string::npos; }

  const std::string word_;
};

}  // namespace muster::rank
