#include "worker/daemon/self_test.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace muster::worker::daemon {
namespace {

constexpr int64_t kLimitMs = 90'000;      // the program ends itself after 60 s
constexpr size_t kSaidBytesMax = 16'384;  // more is read and dropped
constexpr size_t kLineBytesMax = 500;

// The first line that says something.
std::string FirstLine(const std::string& said) {
  const size_t begin = said.find_first_not_of("\r\n\t ");
  if (begin == std::string::npos) return "";
  return said.substr(begin, std::min(said.find('\n', begin) - begin, kLineBytesMax));
}

}  // namespace

SelfTest::SelfTest(std::string program, std::string folder)
    : program_(std::move(program)), folder_(std::move(folder)) {}

SelfTest::~SelfTest() { Kill(); }

void SelfTest::Start(uint64_t test) {
  Kill();
  test_ = test;
  said_.clear();
  not_started_.reset();
  deadline_ms_ = 0;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    not_started_ = fmt::format("start {}: {}", program_, std::strerror(errno));
    return;
  }
  const char* const arguments[] = {program_.c_str(), "--folder", folder_.c_str(), nullptr};
  const int parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execv(program_.c_str(), const_cast<char* const*>(arguments));
    const char* why = strerrordesc_np(errno);
    const std::array<const char*, 4> words = {"cannot start ", program_.c_str(), ": ", why};
    for (const char* word : words) {
      if (write(STDOUT_FILENO, word, std::strlen(word)) < 0) break;
    }
    _exit(126);
  }
  const int fork_error = errno;
  close(ends[1]);
  if (pid_ < 0) {
    close(ends[0]);
    not_started_ = fmt::format("start {}: {}", program_, std::strerror(fork_error));
    return;
  }
  output_ = ends[0];
}

int64_t SelfTest::wake_at_ms() const {
  if (not_started_) return 0;
  return output_ < 0 ? std::numeric_limits<int64_t>::max() : deadline_ms_;  // 0: Turn sets it
}

std::optional<core::TestDone> SelfTest::Turn(int64_t now_ms) {
  if (not_started_) {
    return core::TestDone{test_, false, *std::exchange(not_started_, std::nullopt)};
  }
  if (output_ < 0) return std::nullopt;
  if (deadline_ms_ == 0) deadline_ms_ = now_ms + kLimitMs;
  std::array<char, 4096> bytes;
  for (;;) {
    const ssize_t got = read(output_, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got > 0 && said_.size() < kSaidBytesMax)
      said_.append(bytes.data(), static_cast<size_t>(got));
    if (got > 0) continue;
    if (got == 0) return Finish(now_ms);
    break;  // nothing more for now
  }
  if (now_ms < deadline_ms_) return std::nullopt;
  return Finish(now_ms);
}

core::TestDone SelfTest::Finish(int64_t now_ms) {
  if (now_ms >= deadline_ms_) {
    Kill();
    return {test_, false, fmt::format("took longer than {} s and was killed", kLimitMs / 1000)};
  }
  int status = 0;
  close(std::exchange(output_, -1));
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  std::string line = FirstLine(said_);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {test_, true, std::move(line)};
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return {test_, false,
            fmt::format("{} was killed by SIG{}{}{}", program_, name == nullptr ? "?" : name,
                        line.empty() ? "" : ": ", line)};
  }
  if (line.empty()) line = fmt::format("{} exited {}", program_, WEXITSTATUS(status));
  return {test_, false, std::move(line)};
}

void SelfTest::Kill() {
  if (output_ >= 0) close(std::exchange(output_, -1));
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace muster::worker::daemon
