#include "coordinator/scheduler/wait_again.h"

#include "coordinator/scheduler/turns.h"

namespace muster::coordinator::scheduler {

void WaitAgain::Add(const RunningJob& job, absl::Time now, std::vector<WaitingJob>& waiting) {
  static const std::string kBackoff = "waiting: after a failure";
  shapes_.push_back(ShapeOf(*job.spec));
  classes_.push_back(PlacementClass(*job.spec));
  WaitingJob again;
  again.job = job.job;
  again.spec = job.spec;
  again.shape = &shapes_.back();
  again.placement_class = &classes_.back();
  again.queue = job.queue;
  again.user = job.user;
  again.recovering = job.stopping && job.then == RunningJob::Then::kRecovers;
  again.array = job.array;
  again.shorter = job.shorter;
  if (job.then != RunningJob::Then::kWaitsAfresh) again.previous = job.shares;
  if (job.backoff > absl::ZeroDuration()) {
    again.hold = &kBackoff;
    again.hold_until = now + job.backoff;
  }
  waiting.insert(PlaceInLine(waiting, job.job), again);
}

}  // namespace muster::coordinator::scheduler
