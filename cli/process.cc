#include "cli/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace muster::cli {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// 0 when there is no such process, or only its remains.
uint64_t StartTimeOf(int pid) {
  const std::string stat = ReadAll(fmt::format("/proc/{}/stat", pid));
  const size_t close = stat.rfind(')');  // the name before it may hold anything
  if (close == std::string::npos) return 0;
  std::istringstream fields(stat.substr(close + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return 0;
  uint64_t value = 0;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> value;
  return value;
}

std::vector<std::string> SplitZero(const std::string& text) {
  return absl::StrSplit(text, '\0', absl::SkipEmpty());
}

// In the child: becomes the program, or says why not through `error_fd`.
[[noreturn]] void BecomeProgram(char* const* argv, char* const* environment, int log_fd,
                                int error_fd) {
  setsid();
  const int null_fd = open("/dev/null", O_RDONLY);
  dup2(null_fd, STDIN_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  const int last = static_cast<int>(sysconf(_SC_OPEN_MAX));
  for (int fd = 3; fd < last && fd < 4096; ++fd) {
    if (fd != error_fd) close(fd);
  }
  environ = const_cast<char**>(environment);
  execvp(argv[0], argv);
  const int error = errno;
  const ssize_t ignored = write(error_fd, &error, sizeof(error));
  static_cast<void>(ignored);
  _exit(127);
}

}  // namespace

absl::StatusOr<ProcessId> StartDetached(const std::vector<std::string>& command,
                                        const std::vector<std::string>& extra_environment,
                                        const std::string& log) {
  const int log_fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) return ErrnoError(errno, "open " + log);
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) {
    close(log_fd);
    return ErrnoError(errno, "make a pipe");
  }
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.push_back(*variable);
  for (const std::string& variable : extra_environment) {
    environment.push_back(const_cast<char*>(variable.c_str()));
  }
  environment.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(argv.data(), environment.data(), log_fd, error_pipe[1]);
  close(log_fd);
  close(error_pipe[1]);
  int error = pid < 0 ? errno : 0;
  const ssize_t got = pid < 0 ? 0 : read(error_pipe[0], &error, sizeof(error));
  close(error_pipe[0]);
  if (pid < 0 || got == static_cast<ssize_t>(sizeof(error))) {
    if (pid > 0) waitpid(pid, nullptr, 0);
    return ErrnoError(error, "start " + command.front());
  }
  return ProcessId{pid, StartTimeOf(pid)};
}

bool IsAlive(const ProcessId& process) {
  if (process.pid <= 0 || process.start_time == 0) return false;
  waitpid(process.pid, nullptr, WNOHANG);  // our own child leaves remains otherwise
  return StartTimeOf(process.pid) == process.start_time;
}

absl::Status EndProcess(const ProcessId& process, absl::Duration grace) {
  const auto gone_by = [&](absl::Time until) {
    while (IsAlive(process)) {
      if (absl::Now() >= until) return false;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return true;
  };
  if (!IsAlive(process)) return absl::OkStatus();
  if (grace > absl::ZeroDuration()) {
    kill(process.pid, SIGTERM);
    if (gone_by(absl::Now() + grace)) return absl::OkStatus();
  }
  kill(process.pid, SIGKILL);
  if (gone_by(absl::Now() + absl::Seconds(10))) return absl::OkStatus();
  return Error(absl::StatusCode::kDeadlineExceeded,
               "process {} does not die of SIGKILL; it hangs in the kernel", process.pid);
}

absl::Status WriteProcessFile(const std::string& path, const ProcessId& process) {
  std::ofstream out(path);
  out << process.pid << " " << process.start_time << "\n";
  out.close();
  if (!out) return ErrnoError(errno, "write " + path);
  return absl::OkStatus();
}

ProcessId ReadProcessFile(const std::string& path) {
  ProcessId process;
  std::ifstream in(path);
  if (!(in >> process.pid >> process.start_time)) return ProcessId{};
  return process;
}

std::vector<ProcessInfo> ListProcesses() {
  std::vector<ProcessInfo> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const int pid = std::stoi(name);
    const uint64_t start_time = StartTimeOf(pid);
    if (pid == getpid() || start_time == 0) continue;
    all.push_back({{pid, start_time},
                   SplitZero(ReadAll(entry.path().string() + "/cmdline")),
                   SplitZero(ReadAll(entry.path().string() + "/environ"))});
  }
  return all;
}

}  // namespace muster::cli
