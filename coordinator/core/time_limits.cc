#include <fmt/format.h>

#include "common/duration.h"
#include "coordinator/core/handlers.h"
#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::core {

void CheckTimeLimits(Turn& turn) {
  while (const auto id = turn.state().time_limits.Take(turn.now())) {
    Job& job = *turn.state().jobs.Find(*id);
    v1::FailureCause cause;
    cause.set_text(fmt::format("ran into its time limit of {}",
                               DurationText(scheduler::TimeLimitOf(job.spec))));
    StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_TIME_LIMIT, cause);
  }
}

}  // namespace muster::coordinator::core
