#include "coordinator/scheduler/ahead.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/scheduler/holding.h"
#include "coordinator/scheduler/order.h"
#include "coordinator/scheduler/preemption.h"

namespace muster::coordinator::scheduler {

Ahead::Ahead(const View& view) : inventory_(*view.inventory), view_(view), turns_(view) {
  view_.inventory = &inventory_;
  view_.later.clear();
  for (const RunningJob& job : view_.running) {
    if (job.ends_by != absl::InfiniteFuture()) agenda_.emplace(job.ends_by, job.job);
  }
  for (const WaitingJob& job : view_.waiting) {
    if (job.hold != nullptr && job.hold_until != absl::InfiniteFuture()) ++holds_;
  }
}

std::vector<RunningJob>::iterator Ahead::FindRunning(JobId job) {
  return std::lower_bound(view_.running.begin(), view_.running.end(), job,
                          [](const RunningJob& running, JobId id) { return running.job < id; });
}

void Ahead::Hold(uint32_t queue, const std::string& user, int64_t slots) {
  view_.queues[queue].slots_held += static_cast<uint64_t>(slots);
  for (UserView& held : view_.users) {
    if (held.queue != queue || held.user != user) continue;
    held.slots_held += static_cast<uint64_t>(slots);
    return;
  }
  view_.users.push_back({queue, user, static_cast<uint64_t>(slots)});
}

void Ahead::Start(const scheduler::Start& start) {
  const auto found = PlaceInLine(view_.waiting, start.job);
  CHECK(found != view_.waiting.end() && found->job == start.job, "job {} started but did not wait",
        start.job.value());
  const WaitingJob job = *found;
  view_.waiting.erase(found);
  Placed placed{start.shares, {}};
  for (const NodeId& spare : start.spares) placed.spares.push_back(inventory_.Find(spare));
  TakeStart(inventory_, job, placed);
  shares_.emplace_back(start.shares.begin(), start.shares.end());
  RunningJob running;
  running.job = job.job;
  running.spec = job.spec;
  running.queue = job.queue;
  running.user = job.user;
  running.shares = &shares_.back();
  for (const v1::NodeShare& share : shares_.back()) {
    running.slots += static_cast<uint64_t>(share.slots_size());
  }
  running.shorter = job.shorter;
  running.ends_by = view_.now + TimeLimitOf(*job.spec);
  running.committed_at = view_.now;
  running.array = job.array;
  Hold(job.queue, *job.user, static_cast<int64_t>(running.slots));
  if (running.ends_by != absl::InfiniteFuture()) agenda_.emplace(running.ends_by, job.job);
  view_.running.insert(FindRunning(running.job), running);
  turns_.Started(job, view_.waiting);
}

void Ahead::End(JobId id) {
  const auto found = FindRunning(id);
  const RunningJob job = *found;
  view_.running.erase(found);
  Free(inventory_, job.job, HoldingOf(inventory_, job.job, *job.shares));
  using Then = RunningJob::Then;
  const bool ends = !job.stopping || job.then == Then::kEnds;
  const bool again = !ends && job.then != Then::kIsKept;
  const bool recovers = again && job.then == Then::kRecovers;
  if (!recovers) GiveSparesBack(inventory_, job.job, *job.spec);
  Hold(job.queue, *job.user, -static_cast<int64_t>(job.slots));
  if (again) {
    again_.Add(job, view_.now, view_.waiting);
    if (job.backoff > absl::ZeroDuration()) ++holds_;
  }
  turns_.Stopped(job, again, view_.waiting);
  if (ends) turns_.Ended(job.job, job.ends_as, view_.waiting);
}

void Ahead::Apply(const Decisions& decisions) {
  for (const scheduler::Start& start : decisions.starts) Start(start);
  for (const Preemption& preemption : decisions.preemptions) {
    RunningJob& victim = *FindRunning(preemption.victim);
    agenda_.erase({victim.ends_by, victim.job});
    victim.stopping = true;
    if (victim.then != RunningJob::Then::kIsKept) victim.then = RunningJob::Then::kWaits;
    victim.ends_by = GoneBy(view_, victim, preemption.for_job);
    agenda_.emplace(victim.ends_by, victim.job);
  }
}

void Ahead::EndStopping() {
  std::vector<RunningJob> stopping;
  for (const RunningJob& job : view_.running) {
    if (job.stopping) stopping.push_back(job);
  }
  for (const RunningJob& job : stopping) {
    agenda_.erase({job.ends_by, job.job});
    End(job.job);
  }
}

void Ahead::EndNext() {
  const auto [at, job] = *agenda_.begin();
  agenda_.erase(agenda_.begin());
  MoveTo(std::max(at, view_.now));
  End(job);
}

void Ahead::MoveTo(absl::Time then) {
  for (QueueView& queue : view_.queues) {
    queue.usage =
        UsageAfter(queue.usage, queue.slots_held, then - view_.now, view_.options.usage_half_life);
  }
  view_.now = then;
  MarkLate();
  if (holds_ == 0) return;
  holds_ = 0;
  for (WaitingJob& job : view_.waiting) {
    if (job.hold == nullptr || job.hold_until == absl::InfiniteFuture()) continue;
    if (job.hold_until <= then) {
      job.hold = nullptr;
    } else {
      ++holds_;
    }
  }
}

// Those that end now and have not said so yet.
void Ahead::MarkLate() {
  for (auto due = agenda_.begin(); due != agenda_.end() && due->first <= view_.now; ++due) {
    FindRunning(due->second)->ends_by = view_.now + view_.options.late_by;
  }
}

}  // namespace muster::coordinator::scheduler
