// Passes of the scheduler: when one is due, and how its decisions are carried out.
//
// While few jobs wait or run, every input that matters is followed by a pass. When there are many,
// passes keep a distance, so that a burst of submissions costs a few passes and not one each.
#include <algorithm>
#include <utility>

#include "coordinator/core/handlers.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/ladder.h"
#include "coordinator/core/parity.h"
#include "coordinator/core/replicas.h"
#include "coordinator/core/resize.h"
#include "coordinator/core/view.h"
#include "coordinator/scheduler/place.h"
#include "spec/checkpoints.h"

namespace muster::coordinator::core {
namespace {

bool Crowded(const ClusterState& state) {
  return state.jobs.queued().size() + state.jobs.active().size() > state.options.plan_at_once;
}

bool OtherNodes(const Attempt& before, const std::vector<v1::NodeShare>& shares) {
  std::set<std::string> left, right;
  for (const v1::NodeShare& share : before.facts.shares()) left.insert(share.node());
  for (const v1::NodeShare& share : shares) right.insert(share.node());
  return left != right;
}

v1::Rung RungOfStart(const Job& job, const scheduler::Start& start) {
  if (job.attempts.empty()) return v1::RUNG_UNSPECIFIED;
  const Attempt& before = job.attempts.back();
  const v1::AttemptOutcome outcome = before.facts.outcome();
  return RungOf({.after_failure = outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
                                  outcome == v1::ATTEMPT_OUTCOME_NODE_LOST ||
                                  outcome == v1::ATTEMPT_OUTCOME_DRAINED,
                 .waited_for_room = job.waits_for_room,
                 .stepped_back = job.stepped_back,
                 .shorter = start.data != 0 && start.data < DataSizeOf(MeshOf(job, before)),
                 .other_nodes = OtherNodes(before, start.shares)});
}

// Jobs of before it could be said want one.
bool WantsReplicas(const v1::CheckpointSpec& checkpoint) {
  return !checkpoint.has_ram_replicas() || checkpoint.ram_replicas() > 0;
}

void StartJob(Turn& turn, scheduler::Start start) {
  Job& job = *turn.state().jobs.Find(start.job);
  v1::Record record;
  v1::AttemptStarted* started = record.mutable_attempt_started();
  started->set_job_id(job.id.value());
  started->set_attempt(job.attempts.size() + 1);
  started->set_reason(start.reason);
  started->set_rung(RungOfStart(job, start));
  for (v1::NodeShare& share : start.shares) *started->add_shares() = std::move(share);
  for (const NodeId& spare : start.spares) started->add_spares(spare.value());
  if (start.data != 0) *started->mutable_mesh() = MeshWithData(job.spec, start.data);
  const auto& mesh = start.data != 0 ? started->mesh() : job.spec.mesh();
  const bool keeps = spec::KeepsCheckpoints(job.spec);
  if (keeps && job.spec.checkpoint().ram_parity() > 0) {
    PlanParity(job.spec.checkpoint(), mesh, turn.state().nodes, started);
  } else if (keeps && WantsReplicas(job.spec.checkpoint())) {
    started->set_replica_shift(ReplicaShift(started->shares(), mesh, turn.state().nodes));
  }
  turn.Record(std::move(record));
  SendOrders(turn, job);
}

void Preempt(Turn& turn, const scheduler::Preemption& preemption) {
  Job& victim = *turn.state().jobs.Find(preemption.victim);
  v1::FailureCause cause;
  cause.set_text(preemption.reason);
  // On a lent spare: grace.h says what the name of a node means here.
  const scheduler::Inventory& inventory = turn.state().inventory;
  for (const v1::NodeShare& share : victim.attempts.back().facts.shares()) {
    if (inventory.spare_for(inventory.Find(NodeId(share.node()))) != preemption.for_job) continue;
    cause.set_node(share.node());
    break;
  }
  StopAttempt(turn, victim, v1::ATTEMPT_OUTCOME_PREEMPTED, cause);
}

void StopToGrow(Turn& turn, const scheduler::Growth& growth) {
  v1::FailureCause cause;
  cause.set_text(growth.reason);
  StopAttempt(turn, *turn.state().jobs.Find(growth.job), v1::ATTEMPT_OUTCOME_RESIZED, cause, true);
}

// Of a crowd only those that were not told before are announced.
void Tell(Turn& turn, std::vector<scheduler::Wait> waits) {
  ClusterState& state = turn.state();
  std::set<JobId> told;
  for (scheduler::Wait& wait : waits) {
    Job& job = *state.jobs.Find(wait.job);
    const bool first = job.waiting.empty();
    const bool news = job.waiting != wait.reason;
    told.insert(wait.job);
    job.waits_for_room = job.waits_for_room || !wait.held;
    job.waiting = std::move(wait.reason);
    job.start_estimate = wait.start_estimate;
    if (first || (news && !Crowded(state))) {
      turn.Emit(WaitingEvent(state, job, job.waiting));
    }
  }
  for (const JobId id : state.told) {
    if (told.count(id) == 0) state.jobs.Find(id)->ForgetWait();
  }
  state.told = std::move(told);
}

}  // namespace

absl::Time PlanDue(const ClusterState& state) {
  if (state.jobs.queued().empty() && state.shortened.empty()) return absl::InfiniteFuture();
  const absl::Time due = state.plan_needed ? absl::InfinitePast() : state.plan_at;
  if (!Crowded(state)) return due;
  return std::max(due, state.planned_at + state.options.plan_interval);
}

void PlanIfNeeded(Turn& turn) {
  ClusterState& state = turn.state();
  if (turn.now() < PlanDue(state)) return;
  scheduler::Decisions decisions;
  do {
    state.plan_needed = false;
    state.planned_at = turn.now();
    if (!state.jobs.queued().empty()) state.planned_up_to = *state.jobs.queued().rbegin();
    decisions = scheduler::RunPass(ViewOf(state).view);
    for (scheduler::Start& start : decisions.starts) StartJob(turn, std::move(start));
    for (const scheduler::Preemption& preemption : decisions.preemptions) Preempt(turn, preemption);
    for (const scheduler::Growth& growth : decisions.growths) StopToGrow(turn, growth);
    // What it told the others was so before it started or stopped anybody: they are asked again.
  } while (!(decisions.starts.empty() && decisions.preemptions.empty()) &&
           !(state.jobs.queued().empty() && state.shortened.empty()));
  state.plan_at = decisions.look_again;
  Tell(turn, std::move(decisions.waits));
}

std::string WaitingReason(const ClusterState& state, const Job& job) {
  if (std::string hold = HoldReason(state, job); !hold.empty()) return hold;
  if (!job.waiting.empty()) return job.waiting;
  if (job.id > state.planned_up_to) return "waiting: for the scheduler's next pass";
  return "waiting: behind others in queue " + QueueName(job.spec);
}

void ExplainWaiting(const ClusterState& state, const Job& job, v1::Job* view) {
  if (job.ended() || job.LiveAttempt() != nullptr || IsHeld(state, job)) return;
  scheduler::Wait wait = scheduler::ExplainWait(ViewOf(state).view, job.id);
  if (!job.waiting.empty()) {  // as it was told to all
    wait.reason = job.waiting;
    wait.start_estimate = job.start_estimate;
  }
  view->set_reason(wait.reason);
  view->mutable_unblock()->Assign(wait.unblock.begin(), wait.unblock.end());
  if (wait.start_estimate < absl::InfiniteFuture()) {
    view->set_start_estimate_unix_ms(absl::ToUnixMillis(wait.start_estimate));
  }
}

std::string WhyNeverFitsHere(const ClusterState& state, const v1::JobSpec& spec) {
  if (state.nodes.all().empty()) return "";
  return scheduler::WhyNeverFits(spec, state.inventory);
}

}  // namespace muster::coordinator::core
