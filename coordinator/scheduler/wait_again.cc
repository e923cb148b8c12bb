#include "coordinator/scheduler/wait_again.h"

#include <algorithm>

namespace muster::coordinator::scheduler {

void WaitAgain::Add(const RunningJob& job, std::vector<WaitingJob>& waiting) {
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
  again.previous = job.shares;
  const auto place =
      std::lower_bound(waiting.begin(), waiting.end(), job.job,
                       [](const WaitingJob& other, JobId id) { return other.job < id; });
  waiting.insert(place, again);
}

}  // namespace muster::coordinator::scheduler
