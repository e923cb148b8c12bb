// An incident in one line, as the terminal that launched the job gets it.
#pragma once

#include <string>

#include "coordinator/core/incident_table.h"

namespace muster::coordinator::core {

struct ClusterState;

// "rank 3 on n2 killed by SIGKILL in step 41 (machine?, 60 %); restarted on the same nodes, from
// step 40 in memory; 1.9 s, 1 step again"
std::string IncidentText(const ClusterState& state, const IncidentEntry& entry);

// The same with how it went for that job alone.
std::string IncidentTextOf(const ClusterState& state, const IncidentEntry& entry,
                           const HitJob& hit);

// What the job waits for, while no attempt of it lives and none may start; empty = it does not
// wait.
std::string WaitsFor(const ClusterState& state, const HitJob& hit);

}  // namespace muster::coordinator::core
