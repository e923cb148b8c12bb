// Processes of this machine: started so that they outlive us, and known by more than their pid.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster::cli {

// A pid alone may be somebody else's tomorrow; with its start time it is one process for ever.
struct ProcessId {
  int pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot
};

// Starts a program in its own session, without standard input, both outputs appended to `log`.
// Errors: kNotFound: no such program; the message says which.
absl::StatusOr<ProcessId> StartDetached(const std::vector<std::string>& command,
                                        const std::vector<std::string>& extra_environment,
                                        const std::string& log);

bool IsAlive(const ProcessId& process);  // a zombie is not

// SIGTERM (or SIGKILL with grace zero), then SIGKILL after `grace`; returns when it is gone.
// Errors: kDeadlineExceeded if it is still there 10 s after SIGKILL.
absl::Status EndProcess(const ProcessId& process, absl::Duration grace);

// "pid start_time", one line. A missing or damaged file is process 0, which is never alive.
absl::Status WriteProcessFile(const std::string& path, const ProcessId& process);
ProcessId ReadProcessFile(const std::string& path);

struct ProcessInfo {
  ProcessId id;
  std::vector<std::string> command;
  std::vector<std::string> environment;  // "NAME=value"; empty where we may not look
};

// Everyone alive but us.
std::vector<ProcessInfo> ListProcesses();

}  // namespace muster::cli
