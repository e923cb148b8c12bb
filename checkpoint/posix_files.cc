// PosixFiles(): the file system of the machine.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "checkpoint/file_system.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

absl::Status Failed(const char* what, const std::string& path) {
  return ErrnoError(errno, fmt::format("{} {}", what, path));
}

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PosixWritableFile() override {
    if (fd_ >= 0) ::close(fd_);
  }
  absl::Status Append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), std::min<size_t>(bytes.size(), 64u << 20));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("write", path_);
      }
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    return ::fdatasync(fd_) == 0 ? absl::OkStatus() : Failed("sync", path_);
  }
  absl::Status Close() override {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0 ? absl::OkStatus() : Failed("close", path_);
  }

 private:
  std::string path_;
  int fd_;
};

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}
  ~PosixReadableFile() override { ::close(fd_); }
  uint64_t Size() const override { return size_; }
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("read", path_);
      }
      if (n == 0) return DataLoss("read {}: it ends at byte {}", path_, offset);
      bytes = bytes.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return absl::OkStatus();
  }

 private:
  std::string path_;
  int fd_;
  uint64_t size_;
};

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return Failed("create", path);
    return std::make_unique<PosixWritableFile>(path, fd);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateAfter(const std::string& path,
                                                            uint64_t keep) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return Failed("open", path);
    auto file = std::make_unique<PosixWritableFile>(path, fd);
    if (::ftruncate(fd, static_cast<off_t>(keep)) != 0) return Failed("cut", path);
    return file;
  }
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    // O_NONBLOCK: a FIFO put in the way must not block us.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return Failed("open", path);
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(fd);
      return DataLoss("open {}: not a regular file", path);
    }
    return std::make_unique<PosixReadableFile>(path, fd, static_cast<uint64_t>(info.st_size));
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : Failed("rename to", to);
  }
  absl::Status Link(const std::string& existing, const std::string& name) override {
    return ::link(existing.c_str(), name.c_str()) == 0 ? absl::OkStatus() : Failed("link", name);
  }
  absl::Status RemoveFile(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : Failed("remove", path);
  }
  absl::Status RemoveFolder(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? absl::OkStatus() : Failed("remove folder", path);
  }
  absl::Status MakeFolder(const std::string& path) override {
    return ::mkdir(path.c_str(), 0777) == 0 ? absl::OkStatus() : Failed("make folder", path);
  }
  absl::Status SyncFolder(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return Failed("open folder", path);
    // EINVAL: this file system has no sync of folders (an automounter's, above the real one).
    const bool synced = ::fsync(fd) == 0 || errno == EINVAL;
    absl::Status status = synced ? absl::OkStatus() : Failed("sync folder", path);
    ::close(fd);
    return status;
  }
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    DIR* folder = ::opendir(path.c_str());
    if (folder == nullptr) return Failed("list", path);
    std::vector<FolderEntry> entries;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(folder);
      if (entry == nullptr) break;
      FolderEntry found{.name = entry->d_name};
      if (found.name == "." || found.name == "..") continue;
      struct stat info {};
      if (::fstatat(::dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // gone since
        break;
      }
      found.is_folder = S_ISDIR(info.st_mode);
      found.is_file = S_ISREG(info.st_mode);
      entries.push_back(std::move(found));
    }
    const int error = errno;
    ::closedir(folder);
    if (error != 0) return ErrnoError(error, fmt::format("list {}", path));
    std::sort(entries.begin(), entries.end(),
              [](const FolderEntry& a, const FolderEntry& b) { return a.name < b.name; });
    return entries;
  }
  absl::StatusOr<bool> Exists(const std::string& path) override {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT) return false;
    return Failed("stat", path);
  }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& folder) override {
    struct statvfs info {};
    if (::statvfs(folder.c_str(), &info) != 0) return Failed("free space of", folder);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

FileSystem& PosixFiles() {
  static PosixFileSystem files;
  return files;
}

}  // namespace muster::checkpoint
