#include "trainer/optim/shard_plan.h"

#include <utility>

#include "trainer/parallel/flat_range.h"

namespace muster::trainer::optim {

using parallel::Interval;

std::vector<size_t> ShardPlan::Counts(size_t bucket) const {
  std::vector<size_t> counts;
  for (const Interval& share : shares[bucket]) counts.push_back(share.count());
  return counts;
}

std::vector<Interval> ShardPlan::OwnIntervals() const {
  std::vector<Interval> own;
  for (size_t b = 0; b < shares.size(); ++b) own.push_back(Own(b));
  return own;
}

ShardPlan PlanShards(const parallel::ParameterTable& table, int rank, int size) {
  ShardPlan plan{.rank = rank, .size = size, .shares = {}};
  for (const Interval& bucket : table.buckets) {
    plan.shares.push_back(parallel::ShardsOf(bucket, size));
  }
  return plan;
}

Packed Pack(std::vector<Interval> intervals) {
  Packed packed;
  for (const Interval& interval : intervals) {
    packed.offsets.push_back(packed.size);
    packed.size += interval.count();
  }
  packed.intervals = std::move(intervals);
  return packed;
}

}  // namespace muster::trainer::optim
