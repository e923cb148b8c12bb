#include "worker/shim/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "common/status.h"
#include "worker/shim/folder.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {

absl::StatusOr<int> StartShim(const std::string& program, const std::string& folder,
                              const v1::ShimOrder& order) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, "create attempt folder " + folder);
  }
  MUSTER_RETURN_IF_ERROR(ReplaceFile(folder + "/" + kOrderFile, order.SerializeAsString()));

  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return ErrnoError(errno, "start " + program);
  const char* const arguments[] = {program.c_str(), "--dir", folder.c_str(), nullptr};
  const int pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    execv(program.c_str(), const_cast<char* const*>(arguments));
    const int error = errno;
    const ssize_t written = write(failure[1], &error, sizeof(error));
    _exit(written == sizeof(error) ? 127 : 126);
  }
  const int fork_error = errno;
  close(failure[1]);
  if (pid < 0) {
    close(failure[0]);
    return ErrnoError(fork_error, "start " + program);
  }
  int error = 0;
  const ssize_t got = read(failure[0], &error, sizeof(error));
  close(failure[0]);
  if (got == sizeof(error)) {
    return ErrnoError(error,
                      "start " + program + " (is muster-shim installed beside muster-worker?)");
  }
  return pid;
}

absl::StatusOr<int> ConnectShim(const std::string& folder) {
  const int dir = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return ErrnoError(errno, "open attempt folder " + folder);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // By way of the folder's descriptor: a socket's path may have only 107 bytes.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir,
                kSocketFile);
  const int result =
      fd < 0 ? -1 : connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(dir);
  if (result == 0) return fd;
  if (fd >= 0) close(fd);
  const std::string what =
      fmt::format("connect to {}/{}: {}", folder, kSocketFile, std::strerror(error));
  if (error == ENOENT) return NotFound("{}", what);
  return Unavailable("{}", what);
}

bool ShimAlive(const std::string& folder) {
  const absl::StatusOr<std::string> text = ReadFile(folder + "/" + kProcessFile);
  if (!text.ok()) return false;
  std::istringstream lines(*text);
  int pid = 0;
  uint64_t start_time = 0;
  std::string what;
  while (lines >> pid >> start_time && std::getline(lines, what)) {
    if (what == " shim") return start_time != 0 && StartTime(pid) == start_time;
  }
  return false;
}

absl::StatusOr<v1::AttemptReport> LastReport(const std::string& folder) {
  const std::string path = folder + "/" + kReportFile;
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  v1::AttemptReport report;
  if (!report.ParseFromString(bytes)) {
    return DataLoss("{}: not a report; remove the folder once the attempt is released", path);
  }
  return report;
}

}  // namespace muster::worker::shim
