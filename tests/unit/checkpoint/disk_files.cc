#include "tests/unit/checkpoint/disk_files.h"

#include <cerrno>
#include <cstring>

#include "common/status.h"

namespace muster::checkpoint {

class DiskFiles::Writer : public WritableFile {
 public:
  Writer(DiskFiles* files, SimulatedDisk::NodeId node, std::string path)
      : files_(files), node_(node), path_(std::move(path)) {}

  absl::Status Append(std::span<const std::byte> bytes) override {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    absl::Status status = files_->Pass("write", path_, true);
    SimulatedDisk& disk = *files_->disk_;
    if (!status.ok()) {
      if (!absl::IsCancelled(status)) disk.Append(node_, text.substr(0, text.size() / 2));
      return status;
    }
    const uint64_t used = files_->capacity_ == UINT64_MAX ? 0 : disk.Bytes();
    const uint64_t room = files_->capacity_ - std::min(files_->capacity_, used);
    disk.Append(node_, text.substr(0, room));
    if (text.size() > room) return ErrnoError(ENOSPC, fmt::format("write {}", path_));
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    MUSTER_RETURN_IF_ERROR(files_->Pass("sync", path_, true));
    files_->disk_->Sync(node_);
    return absl::OkStatus();
  }
  absl::Status Close() override { return files_->Pass("close", path_, false); }

 private:
  DiskFiles* files_;
  SimulatedDisk::NodeId node_;
  std::string path_;
};

class DiskFiles::Reader : public ReadableFile {
 public:
  Reader(DiskFiles* files, SimulatedDisk::NodeId node, std::string path)
      : files_(files), node_(node), path_(std::move(path)) {}

  uint64_t Size() const override { return files_->disk_->Text(node_).size(); }
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) override {
    MUSTER_RETURN_IF_ERROR(files_->Pass("read", path_, false));
    const std::string& text = files_->disk_->Text(node_);
    if (offset + bytes.size() > text.size()) return DataLoss("read {}: it ends", path_);
    if (!bytes.empty()) std::memcpy(bytes.data(), text.data() + offset, bytes.size());
    return absl::OkStatus();
  }

 private:
  DiskFiles* files_;
  SimulatedDisk::NodeId node_;
  std::string path_;
};

void DiskFiles::FailAt(int call, absl::Status status) {
  fail_at_ = calls_ + call;
  failure_ = std::move(status);
}

absl::Status DiskFiles::Pass(const char* what, const std::string& path, bool changes) {
  const int call = calls_++;
  if (gate_) MUSTER_RETURN_IF_ERROR(gate_({what, path, changes}));
  if (call == fail_at_) return Annotate(failure_, fmt::format("{} {}", what, path));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WritableFile>> DiskFiles::Create(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("create", path, true));
  MUSTER_ASSIGN_OR_RETURN(const SimulatedDisk::NodeId node, disk_->Create(path));
  return std::make_unique<Writer>(this, node, path);
}

absl::StatusOr<std::unique_ptr<WritableFile>> DiskFiles::CreateAfter(const std::string& path,
                                                                     uint64_t keep) {
  MUSTER_RETURN_IF_ERROR(Pass("cut", path, true));
  MUSTER_ASSIGN_OR_RETURN(const SimulatedDisk::NodeId old, disk_->FindFile(path));
  const std::string kept = disk_->Text(old).substr(0, keep);
  MUSTER_ASSIGN_OR_RETURN(const SimulatedDisk::NodeId node, disk_->Create(path));
  disk_->Append(node, kept);
  return std::make_unique<Writer>(this, node, path);
}

absl::StatusOr<std::unique_ptr<ReadableFile>> DiskFiles::Open(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("open", path, false));
  MUSTER_ASSIGN_OR_RETURN(const SimulatedDisk::NodeId node, disk_->FindFile(path));
  return std::make_unique<Reader>(this, node, path);
}

absl::Status DiskFiles::Rename(const std::string& from, const std::string& to) {
  MUSTER_RETURN_IF_ERROR(Pass("rename", from, true));
  return disk_->Rename(from, to);
}

absl::Status DiskFiles::Link(const std::string& existing, const std::string& name) {
  MUSTER_RETURN_IF_ERROR(Pass("link", name, true));
  return disk_->Link(existing, name);
}

absl::Status DiskFiles::RemoveFile(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("remove", path, true));
  return disk_->Remove(path, false);
}

absl::Status DiskFiles::RemoveFolder(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("remove folder", path, true));
  return disk_->Remove(path, true);
}

absl::Status DiskFiles::MakeFolder(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("make folder", path, true));
  return disk_->MakeFolder(path);
}

absl::Status DiskFiles::SyncFolder(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("sync folder", path, true));
  return disk_->SyncFolder(path);
}

absl::StatusOr<std::vector<FolderEntry>> DiskFiles::List(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("list", path, false));
  return disk_->List(path);
}

absl::StatusOr<bool> DiskFiles::Exists(const std::string& path) {
  MUSTER_RETURN_IF_ERROR(Pass("stat", path, false));
  return disk_->Exists(path);
}

absl::StatusOr<uint64_t> DiskFiles::FreeBytes(const std::string&) {
  if (capacity_ == UINT64_MAX) return uint64_t{4711};
  return capacity_ - std::min(capacity_, disk_->Bytes());
}

}  // namespace muster::checkpoint
