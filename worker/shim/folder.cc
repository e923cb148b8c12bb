#include "worker/shim/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "common/status.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {
namespace {

absl::Status WriteAll(int fd, const std::string& bytes, const std::string& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = write(fd, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrnoError(errno, "write " + path);
    done += static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ScopeOf(const std::string& folder) {
  char resolved[PATH_MAX];
  if (realpath(folder.c_str(), resolved) == nullptr) return ErrnoError(errno, "open " + folder);
  uint64_t hash = 14695981039346656037ull;
  for (const char* c = resolved; *c != 0; ++c) {
    hash = (hash ^ static_cast<unsigned char>(*c)) * 1099511628211ull;
  }
  return fmt::format("{:016x}", hash);
}

std::string SharedMemoryFolder(const std::string& scope) { return "/dev/shm/muster-" + scope; }

absl::Status ReplaceFile(const std::string& path, const std::string& bytes) {
  const std::string next = path + ".next";
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoError(errno, "create " + next);
  absl::Status written = WriteAll(fd, bytes, next);
  close(fd);
  if (!written.ok()) {
    unlink(next.c_str());
    return written;
  }
  if (rename(next.c_str(), path.c_str()) != 0) return ErrnoError(errno, "rename to " + path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, "open " + path);
  std::string bytes;
  char block[16384];
  for (;;) {
    const ssize_t got = read(fd, block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      close(fd);
      return ErrnoError(error, "read " + path);
    }
    if (got == 0) break;
    bytes.append(block, static_cast<size_t>(got));
  }
  close(fd);
  return bytes;
}

absl::Status RecordProcess(const std::string& folder, int pid, const std::string& what) {
  const std::string path = folder + "/" + kProcessFile;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoError(errno, "open " + path);
  absl::Status written = WriteAll(fd, fmt::format("{} {} {}\n", pid, StartTime(pid), what), path);
  close(fd);
  return written;
}

}  // namespace muster::worker::shim
