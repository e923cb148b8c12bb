// A whole cluster on this machine: one coordinator and some workers, all under one folder.
//
//   STATE/dev.json          workers and slots it was started with
//   STATE/coordinator/      state of muster-coordinator; its `address` file tells where it is
//   STATE/workers/n1/       state of one muster-worker
//   STATE/*.pid, *.log      pid and start time, and output, of each daemon
//
// Threads: none; one process at a time (a lock file).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/process.h"

namespace muster::cli {

struct DevPrograms {
  std::string coordinator;
  std::string worker;
};

struct DevDaemon {
  std::string name;  // "coordinator", "n1"
  ProcessId process;
  bool alive = false;
  std::string log;
};

class DevCluster {
 public:
  DevCluster(std::string state, DevPrograms programs);  // `state` absolute

  // Starts what does not run; returns how many daemons it started (0: all ran already). `workers`
  // and `slots` of 0: as last time, or 2. The coordinator serves when it returns; workers may
  // still be joining.
  absl::StatusOr<int> Up(uint64_t workers, uint64_t slots);

  // Ends everything of this cluster, shims and ranks included; returns how many processes that
  // were. What they wrote stays, so the next Up goes on with it.
  // Errors: kInternal: something is left; names it.
  absl::StatusOr<int> Down();

  absl::Status RestartWorker(const std::string& name, bool kill);
  absl::Status RestartCoordinator(bool kill);

  std::vector<DevDaemon> Daemons() const;  // by name, coordinator first
  std::string Address() const;             // "" if it is not there

 private:
  struct Shape {
    uint64_t workers = 2;
    uint64_t slots = 2;
  };
  Shape ReadShape() const;
  absl::Status WriteShape(const Shape& shape) const;
  absl::Status Lock();
  absl::Status StartCoordinator(const std::string& listen);
  absl::Status StartWorker(const std::string& name, uint64_t slots);
  std::vector<ProcessInfo> Leftovers() const;
  std::string PidFile(const std::string& name) const { return state_ + "/" + name + ".pid"; }
  std::string LogFile(const std::string& name) const { return state_ + "/" + name + ".log"; }

  const std::string state_;
  const DevPrograms programs_;
};

}  // namespace muster::cli
