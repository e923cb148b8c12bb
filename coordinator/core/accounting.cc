#include "coordinator/core/accounting.h"

#include <algorithm>
#include <limits>

namespace muster::coordinator::core {
namespace {

double Seconds(int64_t from_ms, int64_t to_ms) {
  return static_cast<double>(std::max<int64_t>(0, to_ms - from_ms)) / 1e3;
}

// What the attempt itself measured; live ones say it in their progress.
struct Measured {
  uint64_t first_step, last_step;
  double productive, checkpoint;
};

Measured MeasuredBy(const Attempt& attempt) {
  if (attempt.live()) {
    const v1::Progress& progress = attempt.progress;
    return {progress.first_step(), std::max(progress.step(), progress.first_step()),
            progress.productive_seconds(), progress.checkpoint_seconds()};
  }
  return {attempt.facts.first_step(), attempt.facts.last_step(), attempt.facts.productive_seconds(),
          attempt.facts.checkpoint_seconds()};
}

// Adds the time from the attempt's placement to its failure or end.
void AddAttempt(const Attempt& attempt, double span, uint64_t lost_steps, v1::JobAccounting& sum) {
  const Measured measured = MeasuredBy(attempt);
  const double productive = std::min(measured.productive, span);
  const double checkpoint = std::min(measured.checkpoint, span - productive);
  const int64_t first_step_ms = attempt.facts.first_step_unix_ms();
  const double until_first =
      first_step_ms > 0 ? Seconds(attempt.facts.start_unix_ms(), first_step_ms) : span;
  // The first step itself is in `productive` already.
  const double startup = std::min(until_first, span - productive - checkpoint);
  const uint64_t steps = measured.last_step - std::min(measured.first_step, measured.last_step);
  const double lost_share =
      steps == 0 ? 0.0
                 : static_cast<double>(std::min(lost_steps, steps)) / static_cast<double>(steps);
  sum.set_recompute_seconds(sum.recompute_seconds() + productive * lost_share);
  sum.set_productive_seconds(sum.productive_seconds() + productive * (1.0 - lost_share));
  sum.set_checkpoint_seconds(sum.checkpoint_seconds() + checkpoint);
  sum.set_startup_seconds(sum.startup_seconds() + startup);
  sum.set_other_seconds(sum.other_seconds() + (span - productive - checkpoint - startup));
  sum.set_steps_recomputed(sum.steps_recomputed() + std::min(lost_steps, steps));
}

// Training stopped here, though the attempt may take longer to go away; 0 = it did not.
int64_t DownFrom(const Attempt& attempt) {
  switch (attempt.facts.outcome()) {
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_DRAINED:
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_REQUEUED:
    case v1::ATTEMPT_OUTCOME_RESIZED:
      return attempt.stop_unix_ms;
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
    case v1::ATTEMPT_OUTCOME_CANCELLED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return 0;
}

}  // namespace

v1::JobAccounting AccountOf(const Job& job, int64_t now_unix_ms) {
  v1::JobAccounting sum;
  if (job.attempts.empty()) return sum;
  const int64_t end_ms = job.ended() ? job.end_unix_ms : now_unix_ms;
  sum.set_wall_seconds(Seconds(job.attempts.front().facts.start_unix_ms(), end_ms));
  // From the newest backwards: what a later attempt resumed from is what of the earlier ones
  // counts.
  uint64_t kept = std::numeric_limits<uint64_t>::max();
  for (size_t i = job.attempts.size(); i-- > 0;) {
    const Attempt& attempt = job.attempts[i];
    const int64_t next_ms =
        i + 1 < job.attempts.size() ? job.attempts[i + 1].facts.start_unix_ms() : end_ms;
    const int64_t down_ms = DownFrom(attempt);
    const int64_t until_ms = down_ms > 0 ? std::min(down_ms, next_ms) : next_ms;
    const Measured measured = MeasuredBy(attempt);
    const uint64_t held = std::max(std::min(kept, measured.last_step), measured.first_step);
    AddAttempt(attempt, Seconds(attempt.facts.start_unix_ms(), until_ms),
               measured.last_step > held ? measured.last_step - held : 0, sum);
    sum.set_down_seconds(sum.down_seconds() + Seconds(until_ms, next_ms));
    if (attempt.facts.first_step_unix_ms() > 0) kept = std::min(kept, measured.first_step);
  }
  if (sum.wall_seconds() > 0) sum.set_goodput(sum.productive_seconds() / sum.wall_seconds());
  return sum;
}

}  // namespace muster::coordinator::core
