// Keeps the scheduler's inventory equal to what the rest of the state says about nodes and
// attempts. Nothing else writes to it.
#pragma once

#include <string>

#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// The node joined, for the first time or with other facts.
void SetNodeFacts(ClusterState& state, Node& node);
// After every change that Node::WhyNot looks at. What changed is a reason for a pass.
void RefreshUsable(ClusterState& state, const Node& node);

// The slots of the job's newest attempt. They are free / its own: CHECK.
void TakeRoom(ClusterState& state, const Job& job);
void GiveRoomBack(ClusterState& state, const Job& job);
uint64_t SlotsOf(const Attempt& attempt);

// The nodes that are the job's hot spares from now on, in place of those before. Each is nobody's
// spare, or this job's: CHECK.
void SetSpares(ClusterState& state, Job& job,
               const google::protobuf::RepeatedPtrField<std::string>& nodes);
void GiveSparesBack(ClusterState& state, Job& job);
// Does a job whose attempt ended so keep its spares for the next one?
bool KeepsSpares(v1::AttemptOutcome outcome);

}  // namespace muster::coordinator::core
