// How long an attempt that was told to stop may take to save and go by itself.
#pragma once

#include "absl/time/time.h"
#include "coordinator/core/attempt.h"
#include "coordinator/core/job_table.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// When its processes are killed; not after the moment it was told to stop when it gets no time at
// all: it failed, or one of its ranks cannot save any more. A cancel shortens every grace.
//
// A preempted attempt whose cause names a node sits on a lent spare that is needed back: it gets no
// more than `stop_grace`.
absl::Time GraceEnd(const ClusterState& state, const Job& job, const Attempt& attempt);

}  // namespace muster::coordinator::core
