// What a node knows about its share of one attempt.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/input.h"

namespace muster::worker::core {

enum class AttemptPhase {
  kWaiting,    // to be started once an older attempt of the job has stopped here
  kStarting,   // a shim was spawned or found; it has not reported
  kRunning,    // the shim reports
  kCleaning,   // the shim died; what it left is being killed
  kStopped,    // no process of it is left; reported until released
  kReleasing,  // released; the shim ends and the folder goes
};

struct LocalAttempt {
  AttemptPhase phase = AttemptPhase::kWaiting;
  v1::StartRanks start;
  v1::AttemptReport report;  // the newest, without its number
  std::optional<v1::StopRanks> stop;
  bool has_folder = false;
  bool shim_alive = false;
  bool shim_connected = false;
  bool release_wanted = false;
  int64_t exit_deadline_ms = 0;  // kReleasing: when a shim that does not end is killed

  std::map<uint64_t, v1::CommitRequest> requests;  // by step; unanswered
  std::map<uint64_t, v1::CommitDone> done;         // by step; unacknowledged
  std::vector<v1::CheckpointRef> pruned;           // never acknowledged: told on every connection
};

// Processes of it are or may be on this node.
bool IsPresent(const LocalAttempt& attempt);

// Ranks the order puts on `node`, ascending.
std::vector<uint32_t> RanksOn(const v1::StartRanks& start, const std::string& node);

// A report of a stopped attempt: ranks already known as exited keep what was said of them, all
// others of this node count as killed, with `error`.
v1::AttemptReport StoppedReport(const LocalAttempt& attempt, const std::string& node,
                                const std::string& error);

// Something the coordinator wants to know at once: a state, not mere progress.
bool StatesDiffer(const v1::AttemptReport& a, const v1::AttemptReport& b);

}  // namespace muster::worker::core
