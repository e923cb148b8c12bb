#include "dataset/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/status.h"

namespace muster::dataset {
namespace {

absl::Status WriteSynced(const std::string& path,
                         std::span<const std::span<const std::byte>> parts) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return ErrnoError(errno, fmt::format("create {}", path));
  absl::Status status;
  for (std::span<const std::byte> part : parts) {
    while (status.ok() && !part.empty()) {
      const ssize_t n = ::write(fd, part.data(), std::min<size_t>(part.size(), 64u << 20));
      if (n >= 0) {
        part = part.subspan(static_cast<size_t>(n));
      } else if (errno != EINTR) {
        status = ErrnoError(errno, fmt::format("write {}", path));
      }
    }
  }
  if (status.ok() && ::fdatasync(fd) != 0) {
    status = ErrnoError(errno, fmt::format("sync {}", path));
  }
  if (::close(fd) != 0 && status.ok()) status = ErrnoError(errno, fmt::format("close {}", path));
  return status;
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, fmt::format("open {}", folder));
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error == 0 ? absl::OkStatus() : ErrnoError(error, fmt::format("sync {}", folder));
}

}  // namespace

absl::Status WriteFileDurably(const std::string& folder, const std::string& name,
                              std::span<const std::span<const std::byte>> parts) {
  const std::string path = folder + "/" + name;
  const std::string temporary = folder + "/.tmp-" + name;
  absl::Status status = WriteSynced(temporary, parts);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoError(errno, fmt::format("rename to {}", path));
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    if (!absl::IsResourceExhausted(status)) return status;
    size_t bytes = 0;
    for (const auto& part : parts) bytes += part.size();
    return Annotate(status,
                    fmt::format("{} bytes needed for {}; make room and run it again", bytes, path));
  }
  return SyncFolder(folder);
}

absl::Status WriteFileDurably(const std::string& folder, const std::string& name,
                              const std::string& text) {
  const std::span<const std::byte> part = std::as_bytes(std::span(text));
  return WriteFileDurably(folder, name, std::span(&part, 1));
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoError(errno, fmt::format("open {}", path));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return DataLoss("open {}: not a regular file", path);
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  ::close(fd);
  if (done != text.size()) return DataLoss("read {}: it ends at byte {}", path, done);
  return text;
}

}  // namespace muster::dataset
