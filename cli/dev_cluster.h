// A whole cluster on this machine: one coordinator and some workers, all under one folder.
//
//   STATE/dev.json          the shape it was started with
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

// What a dev cluster is made of. 0 and empty: as last time, at first 2 workers of 2 slots.
struct DevShape {
  uint64_t workers = 0;
  uint64_t slots = 0;  // of each
  // Pretended places: worker i sits in rack (i-1) / nodes_per_rack, ...
  uint64_t nodes_per_nvlink = 0;
  uint64_t nodes_per_rack = 0;
  uint64_t racks_per_pod = 0;
  std::vector<std::string> labels;  // "n[1-2]:zone=a"
  std::vector<std::string> taints;  // "n3:maintenance"
};

class DevCluster {
 public:
  DevCluster(std::string state, DevPrograms programs);  // `state` absolute

  // Starts what does not run; returns how many daemons it started (0: all ran already). Workers
  // that run already keep the shape they were started with. The coordinator serves when it
  // returns; workers may still be joining.
  absl::StatusOr<int> Up(const DevShape& wanted);

  // Ends everything of this cluster, shims and ranks included; returns how many processes that
  // were. What they wrote stays, so the next Up goes on with it.
  // Errors: kInternal: something is left; names it.
  absl::StatusOr<int> Down();

  absl::Status RestartWorker(const std::string& name, bool kill);
  absl::Status RestartCoordinator(bool kill);

  std::vector<DevDaemon> Daemons() const;  // by name, coordinator first
  std::string Address() const;             // "" if it is not there

 private:
  DevShape ReadShape() const;
  absl::Status WriteShape(const DevShape& shape) const;
  absl::Status Lock();
  absl::Status StartCoordinator(const std::string& listen);
  absl::Status StartWorker(const std::string& name, const DevShape& shape);
  std::vector<ProcessInfo> Leftovers() const;
  std::string PidFile(const std::string& name) const { return state_ + "/" + name + ".pid"; }
  std::string LogFile(const std::string& name) const { return state_ + "/" + name + ".log"; }

  const std::string state_;
  const DevPrograms programs_;
};

}  // namespace muster::cli
