#include <fmt/format.h>

#include <algorithm>

#include "coordinator/scheduler/one_pass.h"

namespace muster::coordinator::scheduler {
namespace {

// The size of its data axis now; 0 = all it asked for.
uint32_t DataNow(const RunningJob& job) {
  for (const ShorterShape& one : *job.shorter) {
    if (one.shape.slots() == job.slots) return one.data;
  }
  return 0;
}

uint32_t DataAskedFor(const RunningJob& job) {
  for (const v1::Axis& axis : job.spec->mesh()) {
    if (axis.name() == "data") return axis.size();
  }
  return 0;
}

}  // namespace

bool OnePass::FitsLonger(const RunningJob& job, const Shape& longer) {
  if (longer.slots() <= job.slots || longer.slots() > free_slots_ + job.slots) return false;
  // Limits see only what it takes beyond what it holds.
  Shape more = longer;
  more.ranks = static_cast<uint32_t>((longer.slots() - job.slots) / longer.slots_per_rank);
  WaitingJob asking;
  asking.job = job.job;
  asking.spec = job.spec;
  asking.shape = &more;
  asking.queue = job.queue;
  asking.user = job.user;
  const absl::Time end = view_.now + TimeLimitOf(*job.spec);
  if (quota_.BarOf(asking, end) != QuotaBook::Bar::kNone) return false;
  Inventory without = now();
  Free(without, job.job, HoldingOf(without, job.job, *job.shares));
  const Gang gang{job.job, job.spec, &longer, IsPreemptible(*job.spec), job.shares};
  const Promises::ForStart denied(promises_, end);
  return Place(gang, without, &denied).has_value();
}

void OnePass::Grow() {
  // What is being stopped to start again will take slots that are free now.
  if (std::any_of(view_.running.begin(), view_.running.end(), [](const RunningJob& job) {
        return job.stopping && job.then == RunningJob::Then::kRecovers;
      })) {
    return;
  }
  for (const RunningJob& job : view_.running) {
    if (job.stopping || job.shape == nullptr || job.shorter == nullptr) continue;
    if (job.grow_at == absl::InfiniteFuture() || job.shape->slots() <= job.slots) continue;
    if (job.grow_at > view_.now) {
      decisions_.look_again = std::min(decisions_.look_again, job.grow_at);
      continue;
    }
    uint32_t data = 0;
    if (FitsLonger(job, *job.shape)) {
      data = DataAskedFor(job);
    } else {
      for (const ShorterShape& one : *job.shorter) {
        if (!FitsLonger(job, one.shape)) continue;
        data = one.data;
        break;
      }
    }
    if (data == 0) continue;
    decisions_.growths.push_back(
        {job.job, fmt::format("room for data {} again ({} now)", data, DataNow(job))});
    return;
  }
}

}  // namespace muster::coordinator::scheduler
