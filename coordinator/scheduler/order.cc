#include "coordinator/scheduler/order.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>

#include "common/check.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr double kSecondsAhead = 60;

}  // namespace

double ShareOf(const QueueView& queue, uint64_t slots_held) {
  const double weight = queue.spec->weight() > 0 ? queue.spec->weight() : 1;
  return (queue.usage + kSecondsAhead * static_cast<double>(slots_held)) / weight;
}

double UsageAfter(double usage, uint64_t slots_held, absl::Duration elapsed,
                  absl::Duration half_life) {
  const double left = std::exp2(-absl::FDivDuration(elapsed, half_life));
  const double lifetime = absl::ToDoubleSeconds(half_life) / std::numbers::ln2;
  return usage * left + static_cast<double>(slots_held) * lifetime * (1 - left);
}

WaitingOrder::WaitingOrder(const View& view, const QuotaBook& quota)
    : view_(view), quota_(quota), heaps_(view.queues.size()), beyond_(view.queues.size()) {
  for (uint32_t i = 0; i < view.waiting.size(); ++i) {
    const WaitingJob& job = view.waiting[i];
    CHECK(job.queue < heaps_.size(), "job {} is in queue {} of {}", job.job.value(), job.queue,
          heaps_.size());
    if (job.recovering) {
      recovering_.push_back(i);
    } else {
      heaps_[job.queue].push_back({job.spec->schedule().priority(), i});
    }
  }
  for (std::vector<Entry>& heap : heaps_) std::make_heap(heap.begin(), heap.end());
  std::sort(recovering_.begin(), recovering_.end(), [&](uint32_t a, uint32_t b) {
    const auto key = [&](uint32_t index) {
      const WaitingJob& job = view.waiting[index];
      return std::tuple(-int64_t{view.queues[job.queue].spec->priority()},
                        -int64_t{job.spec->schedule().priority()}, job.job);
    };
    return key(a) < key(b);
  });
}

const WaitingJob* WaitingOrder::Next() {
  if (recovered_ < recovering_.size()) {
    const WaitingJob* job = &view_.waiting[recovering_[recovered_++]];
    entitled_ = quota_.Entitled(*job);
    return job;
  }
  auto best = static_cast<uint32_t>(heaps_.size());
  std::tuple<bool, int64_t, double> best_key;
  for (uint32_t i = 0; i < heaps_.size(); ++i) {
    if (heaps_[i].empty()) continue;
    const std::tuple<bool, int64_t, double> key(beyond_[i] || !quota_.Entitled(front(i)),
                                                -int64_t{view_.queues[i].spec->priority()},
                                                ShareOf(view_.queues[i], quota_.Claimed(i)));
    if (best == heaps_.size() || key < best_key) {
      best = i;
      best_key = key;
    }
  }
  if (best == heaps_.size()) return nullptr;
  const WaitingJob* job = &front(best);
  entitled_ = !std::get<0>(best_key);
  // One on hold stands for nothing.
  if (job->hold == nullptr || job->hold->empty()) beyond_[best] = !entitled_;
  std::pop_heap(heaps_[best].begin(), heaps_[best].end());
  heaps_[best].pop_back();
  return job;
}

}  // namespace muster::coordinator::scheduler
