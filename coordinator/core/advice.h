// What the cluster recommends for a job, from what was measured: how often to save, how many
// spares.
#pragma once

#include <optional>

#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// How long a node stays away when it failed, until a cluster says otherwise.
constexpr double kRepairHours = 24;

// nullopt while a step or a save of the job was not measured yet, or it saves nothing.
std::optional<v1::CheckpointAdvice> AdviceFor(const ClusterState& state, const Job& job);

// The failure rate as of now, nodes that are up counted until now.
FailureRate RateNow(const ClusterState& state);

}  // namespace muster::coordinator::core
