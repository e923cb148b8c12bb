#include "tests/crash/doomed_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "common/check.h"

namespace muster {

MappedCrashPage::MappedCrashPage(const std::string& path) : path_(path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, sizeof(CrashPage)) == 0, "make {}", path);
  void* page = mmap(nullptr, sizeof(CrashPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(page != MAP_FAILED, "map {}", path);
  close(fd);
  page_ = static_cast<CrashPage*>(page);
  page_->at = UINT64_MAX;
}

MappedCrashPage::~MappedCrashPage() { munmap(page_, sizeof(CrashPage)); }

void MappedCrashPage::KillAt(uint64_t calls, CrashWhen when) {
  page_->at = UINT64_MAX;
  page_->when = when;
  if (calls != UINT64_MAX) page_->at = page_->calls + calls;
}

DoomedProcess::DoomedProcess(const std::vector<std::string>& command, const std::string& folder,
                             const MappedCrashPage& page) {
  const char* shim = std::getenv("MUSTER_CRASH_SHIM");
  CHECK(shim != nullptr, "MUSTER_CRASH_SHIM names the library to preload; run under ctest");
  std::vector<std::string> environment = {
      fmt::format("LD_PRELOAD={}", shim), "MUSTER_CRASH_FOLDER=" + folder,
      "MUSTER_CRASH_PAGE=" + page.path(), "ASAN_OPTIONS=verify_asan_link_order=0"};
  for (char** line = environ; *line != nullptr; ++line) environment.emplace_back(*line);
  std::vector<char*> argv, envp;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& line : environment) envp.push_back(const_cast<char*>(line.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  int out[2];
  CHECK(pipe2(out, O_CLOEXEC) == 0, "pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  CHECK(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()) == 0, "start {}",
        command[0]);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  out_ = out[0];
}

DoomedProcess::~DoomedProcess() {
  Kill();
  close(out_);
}

std::vector<std::string> DoomedProcess::Lines() {
  std::string text;
  char buffer[4096];
  for (ssize_t n = read(out_, buffer, sizeof(buffer)); n > 0;
       n = read(out_, buffer, sizeof(buffer))) {
    text.append(buffer, static_cast<size_t>(n));
  }
  std::vector<std::string> lines;
  for (size_t begin = 0, end = text.find('\n'); end != std::string::npos;
       begin = end + 1, end = text.find('\n', begin)) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

bool DoomedProcess::IsRunning() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

bool DoomedProcess::WasKilled() {
  if (pid_ > 0) {
    CHECK(waitpid(pid_, &status_, 0) == pid_, "wait for {}", pid_);
    pid_ = -1;
  }
  if (WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL) return true;
  CHECK(WIFEXITED(status_) && WEXITSTATUS(status_) == 0, "the process ended with status {:#x}",
        status_);
  return false;
}

void DoomedProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, &status_, 0);
  pid_ = -1;
}

}  // namespace muster
