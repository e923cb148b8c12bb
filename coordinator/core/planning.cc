#include <fmt/format.h>

#include <limits>

#include "common/duration.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/holds.h"
#include "coordinator/scheduler/plan.h"

namespace muster::coordinator::core {
namespace {

// After a restart: nothing is started before the nodes that were alive are back or given up.
std::string RestartHold(const ClusterState& state) {
  if (state.awaited.empty() || state.now >= state.started_at + state.options.reconnect_grace) {
    return "";
  }
  return fmt::format("waiting: {} of {} nodes not back since the coordinator started",
                     state.awaited.size(), state.nodes.all().size());
}

std::string BackoffHold(const ClusterState& state, const Job& job) {
  const absl::Time not_before = absl::FromUnixMillis(job.not_before_unix_ms);
  if (job.fruitless == 0 || state.now >= not_before) return "";
  return fmt::format("waiting: {} before attempt {}, after {} failure{} without progress",
                     DurationText(Backoff(job.fruitless)), job.attempts.size() + 1, job.fruitless,
                     job.fruitless == 1 ? "" : "s");
}

scheduler::Snapshot SnapshotOf(const ClusterState& state) {
  scheduler::Snapshot snapshot;
  for (const auto& [name, node] : state.nodes.all()) {
    scheduler::FreeNode& free = snapshot.nodes.emplace_back();
    free.name = name;
    free.why_not = node.WhyNot();
    free.usable = free.why_not.empty();
    free.slots = node.slots;
    for (uint32_t slot = 0; slot < node.slots; ++slot) {
      if (node.used.count(slot) == 0) free.free_slots.push_back(slot);
    }
  }
  const std::string hold = RestartHold(state);
  for (const JobId id : state.jobs.queued()) {
    const Job& job = *state.jobs.Find(id);
    if (!HoldReason(state, job).empty()) continue;  // holds up nobody
    scheduler::Ask& ask = snapshot.queue.emplace_back();
    ask.job = id;
    ask.spec = &job.spec;
    if (!job.attempts.empty() && !job.requeued) {
      ask.previous = &job.attempts.back().facts.shares();
      ask.previous_attempt = job.attempts.back().facts.number();
    }
    ask.hold = hold.empty() ? BackoffHold(state, job) : hold;
    if (!ask.hold.empty()) break;  // blocks all behind it
  }
  return snapshot;
}

void Place(Turn& turn, const scheduler::Placement& placement) {
  Job& job = *turn.state().jobs.Find(placement.job);
  v1::Record record;
  v1::AttemptStarted* started = record.mutable_attempt_started();
  started->set_job_id(job.id.value());
  started->set_attempt(job.attempts.size() + 1);
  started->set_reason(placement.reason);
  started->mutable_shares()->Assign(placement.shares.begin(), placement.shares.end());
  turn.Record(std::move(record));
  SendOrders(turn, job);
}

void TellHead(Turn& turn, const scheduler::Waiting& head) {
  Job& job = *turn.state().jobs.Find(head.job);
  if (job.waiting == head.reason) return;
  job.waiting = head.reason;
  turn.Emit(WaitingEvent(turn.state(), job, head.reason));
}

}  // namespace

void PlanIfNeeded(Turn& turn) {
  ClusterState& state = turn.state();
  if (!state.plan_needed && turn.now() < state.plan_at) return;
  state.plan_needed = false;
  state.plan_at = absl::InfiniteFuture();
  if (state.jobs.queued().empty()) return;
  const scheduler::Plan plan = scheduler::MakePlan(SnapshotOf(state));
  for (const scheduler::Placement& placement : plan.placements) Place(turn, placement);
  if (!plan.head) return;
  TellHead(turn, *plan.head);
  const Job& head = *state.jobs.Find(plan.head->job);
  if (!RestartHold(state).empty()) {
    state.plan_at = state.started_at + state.options.reconnect_grace;
  } else if (!BackoffHold(state, head).empty()) {
    state.plan_at = absl::FromUnixMillis(head.not_before_unix_ms);
  }
}

v1::PlanJobResponse PlanOne(const ClusterState& state, const v1::JobSpec& spec) {
  const JobId asked(std::numeric_limits<uint64_t>::max());
  scheduler::Snapshot snapshot = SnapshotOf(state);
  scheduler::Ask& ask = snapshot.queue.emplace_back();
  ask.job = asked;
  ask.spec = &spec;
  const scheduler::Plan plan = scheduler::MakePlan(std::move(snapshot));
  v1::PlanJobResponse response;
  if (plan.head) {
    response.set_reason(plan.head->job == asked ? plan.head->reason
                                                : scheduler::BehindText(plan.head->job));
    return response;
  }
  response.set_fits_now(true);
  response.set_reason(plan.placements.back().reason);
  response.mutable_shares()->Assign(plan.placements.back().shares.begin(),
                                    plan.placements.back().shares.end());
  return response;
}

std::string WaitingReason(const ClusterState& state, const Job& job) {
  std::string hold = HoldReason(state, job);
  if (!hold.empty()) return hold;
  JobId head = job.id;
  for (const JobId id : state.jobs.queued()) {
    if (!HoldReason(state, *state.jobs.Find(id)).empty()) continue;
    head = id;
    break;
  }
  return head == job.id ? job.waiting : scheduler::BehindText(head);
}

std::string WhyNeverFitsHere(const ClusterState& state, const v1::JobSpec& spec) {
  if (state.nodes.all().empty()) return "";
  std::vector<uint32_t> slots;
  for (const auto& [name, node] : state.nodes.all()) slots.push_back(node.slots);
  return scheduler::WhyNeverFits(spec, slots);
}

}  // namespace muster::coordinator::core
