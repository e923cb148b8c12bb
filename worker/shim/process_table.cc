#include "worker/shim/process_table.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "worker/shim/folder.h"

namespace muster::worker::shim {
namespace {

struct Stat {
  char state = 0;
  int parent = 0;
  uint64_t start_time = 0;
};

// Fields behind the command, which may itself hold blanks and brackets.
bool ReadStat(int pid, Stat* out) {
  const absl::StatusOr<std::string> text = ReadFile(fmt::format("/proc/{}/stat", pid));
  if (!text.ok()) return false;
  const size_t end = text->rfind(')');
  if (end == std::string::npos || end + 2 >= text->size()) return false;
  unsigned long long start_time = 0;
  const int fields = std::sscanf(text->c_str() + end + 2,
                                 "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                                 "%*d %*d %*d %llu",
                                 &out->state, &out->parent, &start_time);
  out->start_time = start_time;
  return fields == 3;
}

template <typename Visit>
void ForEachProcess(Visit visit) {
  DIR* folder = opendir("/proc");
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0) {
      visit(std::atoi(entry->d_name));
    }
  }
  closedir(folder);
}

bool Lives(const Stat& stat) { return stat.state != 'Z' && stat.state != 'X'; }

}  // namespace

uint64_t StartTime(int pid) {
  Stat stat;
  return ReadStat(pid, &stat) && Lives(stat) ? stat.start_time : 0;
}

std::string ProcessState(int pid) {
  Stat stat;
  return ReadStat(pid, &stat) ? std::string(1, stat.state) : "";
}

std::vector<int> ChildrenOf(int parent) {
  std::vector<int> children;
  ForEachProcess([&](int pid) {
    Stat stat;
    if (ReadStat(pid, &stat) && Lives(stat) && stat.parent == parent) children.push_back(pid);
  });
  return children;
}

std::vector<int> ProcessesInScope(const std::string& scope) {
  const std::string mark = "MUSTER_SCOPE=" + scope;
  std::vector<int> found;
  ForEachProcess([&](int pid) {
    if (pid == getpid()) return;
    // Empty for zombies, unreadable for other users' processes: neither is ours.
    const absl::StatusOr<std::string> environment = ReadFile(fmt::format("/proc/{}/environ", pid));
    if (!environment.ok()) return;
    const std::string all = '\0' + *environment + '\0';
    if (all.find('\0' + mark + '\0') != std::string::npos && StartTime(pid) != 0) {
      found.push_back(pid);
    }
  });
  return found;
}

}  // namespace muster::worker::shim
