#include "coordinator/core/view.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/check.h"
#include "common/duration.h"
#include "coordinator/core/grace.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/resize.h"
#include "coordinator/core/room.h"

namespace muster::coordinator::core {
namespace {

// After a restart: nothing is started before the nodes that were alive are back or given up.
absl::Time HeldAfterRestartUntil(const ClusterState& state) {
  return state.awaited.empty() ? absl::InfinitePast()
                               : state.started_at + state.options.reconnect_grace;
}

std::string RestartHold(const ClusterState& state) {
  if (state.now >= HeldAfterRestartUntil(state)) return "";
  return fmt::format("waiting: {} of {} nodes not back since the coordinator started",
                     state.awaited.size(), state.nodes.all().size());
}

std::string BackoffHold(const ClusterState& state, const Job& job) {
  if (job.fruitless == 0 || state.now >= absl::FromUnixMillis(job.not_before_unix_ms)) return "";
  return fmt::format("waiting: {} before attempt {}, after {} failure{} without progress",
                     DurationText(Backoff(job.fruitless)), job.attempts.size() + 1, job.fruitless,
                     job.fruitless == 1 ? "" : "s");
}

// Do the slots of its last attempt still count as its own? One that a person made larger asks for
// more than these.
bool Recovers(const Job& job) {
  if (job.attempts.empty() || job.requeued) return false;
  const Attempt& last = job.attempts.back();
  switch (last.facts.outcome()) {
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_DRAINED:
      return true;
    case v1::ATTEMPT_OUTCOME_RESIZED:
      return last.grows || job.shape.slots() <= SlotsOf(last);
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

// Queues by name, their users by name.
void AddQueues(const ClusterState& state, scheduler::View& view) {
  const int64_t now_ms = absl::ToUnixMillis(state.now);
  for (const auto& [name, queue] : state.queues.all()) {
    const auto index = static_cast<uint32_t>(view.queues.size());
    view.queues.push_back({.spec = &queue.spec,
                           .usage = state.queues.UsageAt(queue, now_ms),
                           .slots_held = queue.slots_held});
    for (const auto& [user, slots] : queue.slots_by_user) {
      view.users.push_back({.queue = index, .user = user, .slots_held = slots});
    }
  }
}

scheduler::WaitingJob WaitingView(const scheduler::View& view, const Job& job) {
  scheduler::WaitingJob waiting;
  waiting.job = job.id;
  waiting.spec = &job.spec;
  waiting.shape = &job.shape;
  waiting.placement_class = &job.placement_class;
  waiting.queue = QueueIndex(view, QueueName(job.spec));
  waiting.user = &job.user;
  waiting.recovering = Recovers(job);
  waiting.array = LimitedArray(job.spec, job.array_id);
  waiting.shorter = &job.shorter;
  if (waiting.recovering) waiting.avoid = &job.failure_row.accused();
  if (!job.attempts.empty() && !job.requeued) {
    waiting.previous = &job.attempts.back().facts.shares();
    waiting.previous_attempt = job.attempts.back().facts.number();
  }
  return waiting;
}

// What the job does when the attempt that is being stopped is gone.
scheduler::RunningJob::Then ThenOf(const Job& job, const Attempt& attempt) {
  using Then = scheduler::RunningJob::Then;
  if (job.cancel_requested) return Then::kEnds;
  if (job.suspended || job.held) return Then::kIsKept;
  if (job.requeued) return Then::kWaitsAfresh;
  switch (attempt.facts.outcome()) {
    case v1::ATTEMPT_OUTCOME_REQUEUED:
      return Then::kWaitsAfresh;
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
      return Then::kWaits;
    case v1::ATTEMPT_OUTCOME_RESIZED:
      return attempt.grows || job.shape.slots() <= SlotsOf(attempt) ? Then::kRecovers
                                                                    : Then::kWaits;
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_DRAINED:
      return Then::kRecovers;
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
    case v1::ATTEMPT_OUTCOME_CANCELLED:
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return Then::kEnds;
}

// Of a job that ends with this attempt.
v1::JobState EndOf(const Job& job, const Attempt& attempt) {
  if (attempt.good() || attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_SUCCEEDED) {
    return v1::JOB_STATE_SUCCEEDED;
  }
  return job.cancel_requested ? v1::JOB_STATE_CANCELLED : v1::JOB_STATE_FAILED;
}

// Before the next attempt, when this one is being stopped.
absl::Duration BackoffAfter(const Job& job, const Attempt& attempt) {
  const bool fruitful = attempt.progress.step() > job.best_step || attempt.new_checkpoint;
  if (attempt.good() || fruitful) return absl::ZeroDuration();
  const bool failed = attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED;
  const uint32_t fruitless = job.fruitless + (failed ? 1 : 0);
  return fruitless == 0 ? absl::ZeroDuration() : Backoff(fruitless);
}

scheduler::RunningJob RunningView(const ClusterState& state, const scheduler::View& view,
                                  const Job& job) {
  const Attempt& attempt = *job.LiveAttempt();
  const absl::Time started = absl::FromUnixMillis(attempt.facts.start_unix_ms());
  scheduler::RunningJob running;
  running.job = job.id;
  running.spec = &job.spec;
  running.queue = QueueIndex(view, QueueName(job.spec));
  running.user = &job.user;
  running.shares = &attempt.facts.shares();
  running.slots = SlotsOf(attempt);
  running.stopping = attempt.stopping();
  running.then = ThenOf(job, attempt);
  running.array = LimitedArray(job.spec, job.array_id);
  running.ends_as = EndOf(job, attempt);
  running.backoff = BackoffAfter(job, attempt);
  running.ends_by = attempt.stopping() ? GraceEnd(state, job, attempt)
                                       : started + scheduler::TimeLimitOf(job.spec);
  // What is killed, or late, still takes a moment to be gone.
  if (running.ends_by <= state.now) running.ends_by = state.now + view.options.late_by;
  running.shorter = &job.shorter;
  running.shape = &job.shape;
  if (!IsHeld(state, job)) running.grow_at = std::max(GrowAt(job), HeldAfterRestartUntil(state));
  running.committed_at = started;
  const v1::CheckpointRef* newest = job.checkpoints.NewestCommitted();
  if (newest != nullptr && newest->attempt() == attempt.facts.number()) {
    running.committed_at = absl::FromUnixMillis(newest->time_unix_ms());
  }
  return running;
}

}  // namespace

uint32_t QueueIndex(const scheduler::View& view, const std::string& name) {
  const auto found = std::lower_bound(
      view.queues.begin(), view.queues.end(), name,
      [](const auto& queue, const std::string& wanted) { return queue.spec->name() < wanted; });
  CHECK(found != view.queues.end() && found->spec->name() == name,
        "a job waits in queue {}, which was never set", name);
  return static_cast<uint32_t>(found - view.queues.begin());
}

JobId LimitedArray(const v1::JobSpec& spec, JobId array) {
  return spec.schedule().array().at_once() > 0 ? array : JobId();
}

bool IsHeld(const ClusterState& state, const Job& job) {
  return HasOwnHold(job) || state.arrays.Barred(job) ||
         state.queues.Find(QueueName(job.spec))->spec.paused();
}

PassView ViewOf(const ClusterState& state) {
  PassView built;
  scheduler::View& view = built.view;
  view.now = state.now;
  view.inventory = &state.inventory;
  view.options.preempt_grace = state.options.preempt_grace;
  view.options.usage_half_life = state.options.usage_half_life;
  view.options.recall_grace = state.options.stop_grace;
  view.options.late_by = state.options.order_repeat;
  view.options.pass_at_once = state.options.plan_at_once;
  view.options.pass_interval = state.options.plan_interval;
  AddQueues(state, view);
  const std::string* restart = nullptr;
  if (std::string text = RestartHold(state); !text.empty()) {
    restart = &built.texts.emplace_back(std::move(text));
  }
  view.waiting.reserve(state.jobs.queued().size());
  view.running.reserve(state.jobs.active().size());
  state.jobs.ForEach(state.jobs.queued(), [&](const Job& job) {
    if (IsHeld(state, job)) return;
    scheduler::WaitingJob& waiting = view.waiting.emplace_back(WaitingView(view, job));
    if (restart != nullptr) {
      waiting.hold = restart;
      waiting.hold_until = state.started_at + state.options.reconnect_grace;
      waiting.holds_up_all = true;
    } else if (std::string text = BackoffHold(state, job); !text.empty()) {
      waiting.hold = &built.texts.emplace_back(std::move(text));
      waiting.hold_until = absl::FromUnixMillis(job.not_before_unix_ms);
    }
  });
  state.jobs.ForEach(state.jobs.active(), [&](const Job& job) {
    view.running.push_back(RunningView(state, view, job));
  });
  return built;
}

PassView ForecastViewOf(const ClusterState& state) {
  PassView built = ViewOf(state);
  scheduler::View& view = built.view;
  view.passed_at = state.planned_at;
  state.jobs.ForEach(state.jobs.queued(), [&](const Job& job) {
    const bool paused = state.queues.Find(QueueName(job.spec))->spec.paused();
    if (!IsHeld(state, job) || job.held || paused) return;
    scheduler::LaterJob& later = view.later.emplace_back();
    later.job = WaitingView(view, job);
    for (const After& after : job.after) {
      if (!after.met) later.after.push_back({after.job, after.when});
    }
  });
  view.others = state.jobs.queued().size() - view.waiting.size() - view.later.size();
  return built;
}

}  // namespace muster::coordinator::core
