// What the state of the cluster says about a failure, as values for the recovery ladder.
#pragma once

#include "coordinator/core/ladder.h"
#include "coordinator/core/state.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

// An attempt of the job fails now; no record of it yet. Whether there is room is asked as if the
// job were the first that gets some, which those that recover are.
//
// Cost: a copy of the inventory and a few placements, only when a node is lost or accused.
Situation SituationOf(const ClusterState& state, const Job& job,
                      const v1::AttemptStopping& stopping);

// The attempt that failed is gone; for the choice of the checkpoint alone.
Situation CheckpointSituation(const Job& job);

// The job has no live attempt, and gets no other: what it did last brought nothing too often.
bool IsGivenUp(const ClusterState& state, const Job& job);

// How many failures in a row without progress a job may have.
uint32_t FailuresMax(const v1::JobSpec& spec);

}  // namespace muster::coordinator::core
