#include "coordinator/scheduler/ahead.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/check.h"
#include "coordinator/scheduler/holding.h"
#include "coordinator/scheduler/order.h"
#include "coordinator/scheduler/preemption.h"

namespace muster::coordinator::scheduler {

std::vector<WaitingJob>::iterator Ahead::FindWaiting(JobId job) {
  return std::lower_bound(view_.waiting.begin(), view_.waiting.end(), job,
                          [](const WaitingJob& waiting, JobId id) { return waiting.job < id; });
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
  const auto found = FindWaiting(start.job);
  CHECK(found != view_.waiting.end() && found->job == start.job, "job {} started but did not wait",
        start.job.value());
  Placed placed{start.shares, {}};
  for (const NodeId& spare : start.spares) placed.spares.push_back(inventory_.Find(spare));
  TakeStart(inventory_, *found, placed);
  shares_.emplace_back(start.shares.begin(), start.shares.end());
  RunningJob running;
  running.job = found->job;
  running.spec = found->spec;
  running.queue = found->queue;
  running.user = found->user;
  running.shares = &shares_.back();
  running.slots = found->shape->slots();
  running.ends_by = view_.now + TimeLimitOf(*found->spec);
  running.committed_at = view_.now;
  Hold(found->queue, *found->user, static_cast<int64_t>(running.slots));
  view_.waiting.erase(found);
  view_.running.insert(FindRunning(running.job), running);
}

void Ahead::End(const RunningJob& job) {
  Free(inventory_, job.job, HoldingOf(inventory_, job.job, *job.shares));
  const bool recovers = job.stopping && job.then == RunningJob::Then::kRecovers;
  if (!recovers &&
      (job.spec->recovery().hot_spares() > 0 || job.spec->recovery().spare_share() > 0)) {
    for (NodeIndex node = 0; node < inventory_.size(); ++node) {
      if (inventory_.spare_for(node) == job.job) inventory_.SetSpare(node, JobId(), false);
    }
  }
  Hold(job.queue, *job.user, -static_cast<int64_t>(job.slots));
  if (job.stopping && job.then != RunningJob::Then::kEnds) {
    again_.Add(job, view_.waiting);
  }
}

void Ahead::Apply(const Decisions& decisions) {
  for (const scheduler::Start& start : decisions.starts) Start(start);
  for (const Preemption& preemption : decisions.preemptions) {
    RunningJob& victim = *FindRunning(preemption.victim);
    victim.stopping = true;
    victim.then = RunningJob::Then::kWaits;
    victim.ends_by = GoneBy(view_, victim);
  }
}

void Ahead::EndStopping() {
  for (RunningJob& job : view_.running) {
    if (job.stopping) job.ends_by = view_.now;
  }
  EndDue();
}

void Ahead::EndDue() {
  std::vector<RunningJob> ended;
  std::copy_if(view_.running.begin(), view_.running.end(), std::back_inserter(ended),
               [&](const RunningJob& job) { return job.ends_by <= view_.now; });
  std::erase_if(view_.running, [&](const RunningJob& job) { return job.ends_by <= view_.now; });
  for (const RunningJob& job : ended) End(job);
}

bool Ahead::Advance(absl::Time look_again) {
  absl::Time next = look_again;
  for (const RunningJob& job : view_.running) next = std::min(next, job.ends_by);
  if (next == absl::InfiniteFuture()) return false;
  const absl::Time then = std::max(next, view_.now);
  for (QueueView& queue : view_.queues) {
    queue.usage =
        UsageAfter(queue.usage, queue.slots_held, then - view_.now, view_.options.usage_half_life);
  }
  view_.now = then;
  EndDue();
  for (WaitingJob& job : view_.waiting) {
    if (job.hold != nullptr && job.hold_until <= then) job.hold = nullptr;
  }
  return true;
}

}  // namespace muster::coordinator::scheduler
