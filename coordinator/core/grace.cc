#include "coordinator/core/grace.h"

#include <algorithm>

namespace muster::coordinator::core {
namespace {

absl::Duration TimeToSave(const Options& options, const v1::ScheduleSpec& schedule) {
  if (!schedule.has_preempt_grace()) return options.preempt_grace;
  return absl::Seconds(schedule.preempt_grace().seconds()) +
         absl::Nanoseconds(schedule.preempt_grace().nanos());
}

absl::Duration GraceOf(const Options& options, const Job& job, const Attempt& attempt) {
  switch (attempt.facts.outcome()) {
    case v1::ATTEMPT_OUTCOME_DRAINED:
      return options.drain_grace;
    case v1::ATTEMPT_OUTCOME_CANCELLED:
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
      return options.stop_grace;
    case v1::ATTEMPT_OUTCOME_PREEMPTED: {
      const absl::Duration asked = TimeToSave(options, job.spec.schedule());
      const bool recalled = !attempt.facts.cause().node().empty();
      return recalled ? std::min(asked, options.stop_grace) : asked;
    }
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_REQUEUED:
    case v1::ATTEMPT_OUTCOME_RESIZED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
      return TimeToSave(options, job.spec.schedule());
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return absl::ZeroDuration();
}

}  // namespace

absl::Time GraceEnd(const ClusterState& state, const Job& job, const Attempt& attempt) {
  const absl::Time told = absl::FromUnixMillis(attempt.stop_unix_ms);
  if (attempt.failed_while_stopping) return told;
  absl::Time end = told + GraceOf(state.options, job, attempt);
  if (job.cancel_requested) {
    end = std::min(end, absl::FromUnixMillis(job.cancel_unix_ms) + state.options.stop_grace);
  }
  return end;
}

}  // namespace muster::coordinator::core
