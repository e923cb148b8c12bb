#include "trainer/optim/optimizer.h"

#include <memory>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::optim {

using parallel::Interval;

Optimizer::Optimizer(const AdamW& options, const parallel::ParameterTable& table,
                     const ShardPlan& plan, collective::Collective& data, bool zero)
    : options_(options),
      table_(table),
      plan_(plan),
      data_(data),
      sharded_(zero && data.size() > 1),
      updated_(Pack(sharded_ ? plan.OwnIntervals() : table.buckets)),
      exp_avg_(updated_.size),
      exp_avg_sq_(updated_.size) {}

absl::Status Optimizer::Update(const GradientReducer& reducer, double lr, float grad_scale,
                               uint64_t step, std::span<float> params) {
  CHECK(params.size() == table_.size, "{} parameters, the table has {}", params.size(),
        table_.size);
  for (const parallel::Parameter& parameter : table_.parameters) {
    const auto b = static_cast<size_t>(parameter.bucket);
    const Interval mine = updated_.intervals[b];
    const Interval part = parallel::Intersect(parameter.interval(), mine);
    if (part.count() == 0) continue;
    const std::span<const float> grads = sharded_ ? reducer.Share(b) : reducer.Whole(b);
    UpdateAdamW(options_,
                {.lr = lr, .step = step, .grad_scale = grad_scale, .decay = parameter.decay},
                grads.subspan(part.begin - mine.begin, part.count()),
                params.subspan(part.begin, part.count()), ExpAvg(part), ExpAvgSq(part));
  }
  if (!sharded_) return absl::OkStatus();
  std::vector<std::unique_ptr<collective::Pending>> all;
  for (size_t b = 0; b < table_.buckets.size(); ++b) {
    const Interval bucket = table_.buckets[b];
    const Interval own = plan_.Own(b);
    const std::vector<size_t> counts = plan_.Counts(b);
    MUSTER_ASSIGN_OR_RETURN(
        std::unique_ptr<collective::Pending> pending,
        data_.StartAllGather(params.subspan(own.begin, own.count()),
                             params.subspan(bucket.begin, bucket.count()), counts));
    all.push_back(std::move(pending));
  }
  for (auto& pending : all) MUSTER_RETURN_IF_ERROR(pending->Wait());
  return absl::OkStatus();
}

size_t Optimizer::OffsetOf(Interval interval) const {
  for (size_t i = 0; i < updated_.intervals.size(); ++i) {
    const Interval& whole = updated_.intervals[i];
    if (whole.begin <= interval.begin && interval.end <= whole.end && whole.count() > 0) {
      return updated_.offsets[i] + interval.begin - whole.begin;
    }
  }
  CHECK(false, "[{}, {}) is not updated here", interval.begin, interval.end);
}

std::span<float> Optimizer::ExpAvg(Interval interval) {
  return exp_avg_.span().subspan(OffsetOf(interval), interval.count());
}

std::span<float> Optimizer::ExpAvgSq(Interval interval) {
  return exp_avg_sq_.span().subspan(OffsetOf(interval), interval.count());
}

}  // namespace muster::trainer::optim
