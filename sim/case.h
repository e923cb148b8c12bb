// A case: the workload, the faults and the checkers of a simulation, read from a small text file.
//
// One setting a line, `#` begins a comment:
//   nodes 4                        a number
//   duration 90s                   a span of simulated time
//   coordinator.crash every 30s    a fault: the mean time between two of them; absent = never
//   network.lose_reply 0.1         a chance, 0 to 1
//   job weight=3 ranks=1..6 steps=10..60 step=200ms     a kind of job; ranges are even
//   queue name=prod quota=8 limit=16 weight=2 priority=5
//   check slots epochs             the checkers; none named = all but the canary
// `muster-sim keys` prints every key with its default.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sim/agenda.h"

namespace muster::sim {

struct Range {
  int64_t low = 0;
  int64_t high = 0;
};

struct JobKind {
  double weight = 1;
  Range ranks{1, 4};
  Range slots_per_rank{1, 1};
  Range tensor{1, 1};  // size of the inner axis, which stays within `tensor_within`
  std::string tensor_within;
  Range steps{10, 40};
  Range step{200 * kMilli, 200 * kMilli};
  Range save_every{5, 15};  // steps; 0 = no checkpoints
  Range keep{1, 3};
  Range priority{0, 0};
  Range time_limit{0, 0};
  Range array{0, 0};
  std::string queue;
  double broken = 0;   // the chance that its ranks fail at start every time
  double bug = 0;      // the chance that a rank fails in one of its steps, every time
  double panic = 0;    // the chance that it takes a machine down in one of its steps, every time
  double shrinks = 0;  // the chance that its data axis may get shorter
  double depends = 0;
  double held = 0;
  double exclusive = 0;
  Range spares{0, 0};
  double lend = 0;
};

struct QueueKind {
  std::string name;
  int64_t quota = 0;
  int64_t limit = -1;
  int64_t user_limit = -1;
  double weight = 1;
  int64_t priority = 0;
};

struct Case {
  std::string about;
  std::string name;  // the file
  Micros duration = 60 * kSecond;
  Micros settle = 0;
  int64_t nodes = 4;
  int64_t slots = 2;
  int64_t racks = 0;
  int64_t pods = 0;
  int64_t jobs_max = 1'000'000;
  int64_t users = 3;
  int64_t lost_nodes = 0;

  Micros heartbeat = 500 * kMilli;
  Micros suspect_after = 2 * kSecond;
  Micros dead_after = 5 * kSecond;
  Micros reconnect_grace = 5 * kSecond;
  Micros stop_grace = 3 * kSecond;
  Micros drain_grace = 10 * kSecond;
  Micros tick = 100 * kMilli;
  Micros shim_report = 1 * kSecond;
  Micros orphan_grace = 60 * kSecond;
  Micros disk_sync = 3 * kMilli;
  Micros delay = 2 * kMilli;
  Micros delay_max = 40 * kMilli;
  Micros half_open = 3 * kSecond;
  Micros down = 4 * kSecond;
  Micros client_timeout = 3 * kSecond;
  Micros clear_within = 30 * kSecond;
  double drift = 0.0;
  double quarantine_share = 0.05;
  Micros quarantine_cool_down = 3 * kSecond;
  Micros probation = 20 * kSecond;

  // Mean time between two; 0 = never.
  Micros submit = 0, cancel = 0, admission = 0, quarantine = 0, control = 0, scale = 0,
         queue_change = 0;
  Micros coordinator_crash = 0, coordinator_power = 0, coordinator_pause = 0, coordinator_copy = 0;
  Micros disk_full = 0, disk_corrupt = 0;
  Micros network_cut = 0, network_partition = 0, network_oneway = 0, network_split = 0;
  Micros worker_crash = 0, worker_pause = 0, shim_crash = 0, rank_crash = 0, node_power = 0;
  Micros clock_jump = 0;
  // Chances.
  double bad_saves = 0;  // of a commit, that no resume from it gets through
  double lose_request = 0, lose_reply = 0, repeat_request = 0;
  double coordinator_crash_in_step = 0, worker_crash_in_step = 0, save_fails = 0, spawn_fails = 0,
         test_fails = 0;
  // Faults of the harness itself: a rule of the daemons broken on purpose.
  double skip_sync = 0;
  double reply_before_sync = 0;

  std::vector<JobKind> jobs;
  std::vector<QueueKind> queues;
  std::set<std::string> checks;

  bool Checks(const std::string& checker) const;
};

// Errors: kNotFound, kInvalidArgument with file and line.
absl::StatusOr<Case> ReadCase(const std::string& path);

// Every key, its default and its meaning, a line each.
std::string CaseKeys();

// The checkers there are.
const std::vector<std::string>& Checkers();

}  // namespace muster::sim
