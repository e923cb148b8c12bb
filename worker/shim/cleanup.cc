#include "worker/shim/cleanup.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <sstream>
#include <system_error>
#include <vector>

#include "common/status.h"
#include "worker/shim/folder.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {
namespace {

constexpr int kRoundMs = 5;
constexpr int kRoundsMax = 10000 / kRoundMs;

struct Recorded {
  int pid = 0;
  uint64_t start_time = 0;
  bool shim = false;
};

std::vector<Recorded> ReadProcesses(const std::string& folder) {
  std::vector<Recorded> processes;
  const absl::StatusOr<std::string> text = ReadFile(folder + "/" + kProcessFile);
  if (!text.ok()) return processes;
  std::istringstream lines(*text);
  Recorded entry;
  std::string what;
  while (lines >> entry.pid >> entry.start_time && std::getline(lines, what)) {
    entry.shim = what == " shim";
    processes.push_back(entry);
  }
  return processes;
}

// Sends SIGKILL to all that lives; returns who it was.
std::set<int> KillOnce(const std::vector<Recorded>& recorded, const std::string& scope) {
  std::set<int> living;
  for (const Recorded& process : recorded) {
    if (process.start_time == 0 || StartTime(process.pid) != process.start_time) continue;
    living.insert(process.pid);
    // A rank leads its group, so while it lives the group is ours. The shim goes first: it would
    // otherwise report the ranks' end as theirs.
    if (!process.shim) kill(-process.pid, SIGKILL);
    kill(process.pid, SIGKILL);
  }
  for (int pid : ProcessesInScope(scope)) {
    living.insert(pid);
    kill(pid, SIGKILL);
  }
  return living;
}

void RemoveAll(const std::string& path, absl::Status* status) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error && status->ok()) *status = ErrnoError(error.value(), "remove " + path);
}

}  // namespace

absl::Status CleanUpAttempt(const std::string& folder) {
  const absl::StatusOr<std::string> scope = ScopeOf(folder);
  if (absl::IsNotFound(scope.status())) return absl::OkStatus();
  if (!scope.ok()) return Annotate(scope.status(), "clean up attempt");
  const std::vector<Recorded> recorded = ReadProcesses(folder);
  std::set<int> living = KillOnce(recorded, *scope);
  for (int round = 0; !living.empty(); ++round) {
    if (round == kRoundsMax) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "clean up {}: process {} does not die; see `cat /proc/{}/stack`", folder,
                   *living.begin(), *living.begin());
    }
    const timespec pause = {0, long{kRoundMs} * 1000000};
    nanosleep(&pause, nullptr);
    living = KillOnce(recorded, *scope);
  }
  absl::Status status;
  RemoveAll(SharedMemoryFolder(*scope), &status);
  RemoveAll(folder + "/" + kPmixFolder, &status);
  RemoveAll(folder + "/" + kTempFolder, &status);
  RemoveAll(folder + "/" + kSocketFile, &status);
  return status;
}

}  // namespace muster::worker::shim
