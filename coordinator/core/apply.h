// What the files that apply records share.
#pragma once

#include "coordinator/core/state.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

// The job a record names; it exists: CHECK.
Job& JobOf(ClusterState& state, uint64_t id);
// Puts the job where its state belongs. After every change of what decides that.
void Resort(ClusterState& state, const Job& job);
// Resort, and the job counts as changed by the record that is applied.
void Touch(ClusterState& state, Job& job);

// apply_requests.cc: what people asked for. Each Touches the job if it changes anything.
void ApplyJobSubmitted(ClusterState& state, const v1::Record& record);
void ApplyJobCancelRequested(ClusterState& state, const v1::Record& record);
void ApplyQueueSet(ClusterState& state, const v1::QueueSet& set);
void ApplyJobHeld(ClusterState& state, const v1::JobHeld& held);
void ApplyJobSuspended(ClusterState& state, const v1::JobSuspended& suspended);
void ApplyJobRequeued(ClusterState& state, const v1::JobRequeued& requeued);
void ApplyJobSaveAsked(ClusterState& state, const v1::Record& record);
void ApplyJobScaled(ClusterState& state, const v1::JobScaled& scaled);

}  // namespace muster::coordinator::core
