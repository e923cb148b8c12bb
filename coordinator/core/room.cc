#include "coordinator/core/room.h"

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

scheduler::NodeIndex IndexOf(const ClusterState& state, const std::string& name) {
  const scheduler::NodeIndex index = state.inventory.Find(NodeId(name));
  CHECK(index != scheduler::Inventory::kNone, "node {} is given to a job and never joined", name);
  return index;
}

// What a spare does for others is no idleness of its owner.
void LogSpare(ClusterState& state, scheduler::NodeIndex index) {
  Job* owner = state.jobs.Find(state.inventory.spare_for(index));
  if (owner == nullptr) return;
  owner->spare_log.Set(state.inventory.facts(index).name, state.inventory.free_slots(index),
                       state.record_unix_ms);
}

}  // namespace

void SetNodeFacts(ClusterState& state, Node& node) {
  node.index = state.inventory.Set({.name = node.name,
                                    .slots = node.slots,
                                    .location = node.location,
                                    .devices = node.devices,
                                    .labels = node.labels,
                                    .taints = node.taints});
  LogSpare(state, node.index);
  RefreshUsable(state, node);
}

void RefreshUsable(ClusterState& state, const Node& node) {
  const std::string why_not = node.WhyNot();
  if (state.inventory.usable(node.index) == why_not.empty() &&
      state.inventory.why_not(node.index) == why_not) {
    return;
  }
  state.inventory.SetUsable(node.index, why_not.empty(), why_not);
  state.plan_needed = true;
}

void TakeRoom(ClusterState& state, const Job& job) {
  const bool exclusive = job.spec.resources().exclusive();
  for (const v1::NodeShare& share : job.attempts.back().facts.shares()) {
    state.inventory.Take(share, job.id, exclusive);
    state.nodes.Find(NodeId(share.node()))->jobs.insert(job.id);
    LogSpare(state, IndexOf(state, share.node()));
  }
}

void GiveRoomBack(ClusterState& state, const Job& job) {
  const bool exclusive = job.spec.resources().exclusive();
  for (const v1::NodeShare& share : job.attempts.back().facts.shares()) {
    state.inventory.Free(share, job.id, exclusive);
    state.nodes.Find(NodeId(share.node()))->jobs.erase(job.id);
    LogSpare(state, IndexOf(state, share.node()));
  }
}

uint64_t SlotsOf(const Attempt& attempt) {
  uint64_t slots = 0;
  for (const v1::NodeShare& share : attempt.facts.shares()) {
    slots += static_cast<uint64_t>(share.slots_size());
  }
  return slots;
}

void SetSpares(ClusterState& state, Job& job,
               const google::protobuf::RepeatedPtrField<std::string>& nodes) {
  GiveSparesBack(state, job);
  for (const std::string& name : nodes) {
    const scheduler::NodeIndex index = IndexOf(state, name);
    CHECK(state.inventory.spare_for(index) == JobId(),
          "node {} becomes a spare of job {} and is one of job {}", name, job.id.value(),
          state.inventory.spare_for(index).value());
    state.inventory.SetSpare(index, job.id, job.spec.recovery().lend_spares());
    job.spares.emplace_back(name);
    LogSpare(state, index);
  }
}

void GiveSparesBack(ClusterState& state, Job& job) {
  for (const NodeId& name : job.spares) {
    state.inventory.SetSpare(IndexOf(state, name.value()), JobId(), false);
    job.spare_log.End(name, state.record_unix_ms);
  }
  if (!job.spares.empty()) state.plan_needed = true;
  job.spares.clear();
}

bool KeepsSpares(v1::AttemptOutcome outcome) {
  switch (outcome) {
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_DRAINED:
    case v1::ATTEMPT_OUTCOME_RESIZED:
      return true;
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
    case v1::ATTEMPT_OUTCOME_CANCELLED:
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_REQUEUED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return false;
}

}  // namespace muster::coordinator::core
