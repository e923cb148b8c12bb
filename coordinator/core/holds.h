// What keeps a queued job from starting, other than room and the fairness of queues.
#pragma once

#include <string>

#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// "waiting: on hold: bad data", "waiting: job 3 (prep) has not succeeded yet", ... Empty: the job
// may start. In order: suspended, on hold, dependencies, paused queue, limit of its array.
std::string HoldReason(const ClusterState& state, const Job& job);

// The part of it that is the job's own: suspended, on hold, dependencies.
bool HasOwnHold(const Job& job);

}  // namespace muster::coordinator::core
