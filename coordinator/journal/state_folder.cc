#include "coordinator/journal/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "common/status.h"

namespace muster::coordinator::journal {
namespace {

absl::Status WriteAll(int fd, const std::string& text, const std::string& path) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = write(fd, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "write " + path);
    written += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status InUse(const std::string& path, int lock_fd) {
  char text[256] = {};
  const ssize_t n = pread(lock_fd, text, sizeof text - 1, 0);
  std::string owner(text, n > 0 ? static_cast<size_t>(n) : 0);
  while (!owner.empty() && owner.back() == '\n') owner.pop_back();
  const size_t space = owner.find(' ');
  std::string who = "another process";
  if (!owner.empty()) who = "process " + owner.substr(0, space);
  if (space != std::string::npos) who += " (" + owner.substr(space + 1) + ")";
  return FailedPrecondition("state folder {} is in use by {}; stop it or use another --state", path,
                            who);
}

}  // namespace

StateFolder::StateFolder(std::string path, int lock_fd)
    : path_(std::move(path)), lock_fd_(lock_fd) {}

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path) {
  if (path.empty()) return InvalidArgument("state folder: no path given; use --state DIR");
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return ErrnoError(error.value(), "make state folder " + path);
  }
  const std::string lock_path = path + "/lock";
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(errno, "open " + lock_path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const absl::Status status =
        errno == EWOULDBLOCK ? InUse(path, fd) : ErrnoError(errno, "lock " + lock_path);
    close(fd);
    return status;
  }
  std::unique_ptr<StateFolder> folder(new StateFolder(path, fd));
  // A crash leaves the old address behind; nobody is to be sent there.
  unlink((path + "/address").c_str());
  if (ftruncate(fd, 0) != 0) return ErrnoError(errno, "write " + lock_path);
  MUSTER_RETURN_IF_ERROR(WriteAll(fd, fmt::format("{}\n", getpid()), lock_path));
  return folder;
}

StateFolder::~StateFolder() {
  if (published_) unlink((path_ + "/address").c_str());
  // The lock's file stays: removing it would let two processes lock two files of one name.
  close(lock_fd_);
}

absl::Status StateFolder::PublishAddress(const std::string& address) {
  const std::string lock_path = path_ + "/lock";
  if (ftruncate(lock_fd_, 0) != 0 || lseek(lock_fd_, 0, SEEK_SET) != 0) {
    return ErrnoError(errno, "write " + lock_path);
  }
  MUSTER_RETURN_IF_ERROR(WriteAll(lock_fd_, fmt::format("{} {}\n", getpid(), address), lock_path));

  const std::string path = path_ + "/address";
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(errno, "open " + temporary);
  const absl::Status status = WriteAll(fd, address + "\n", temporary);
  close(fd);
  MUSTER_RETURN_IF_ERROR(status);
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(errno, "write " + path);
  published_ = true;
  return absl::OkStatus();
}

}  // namespace muster::coordinator::journal
