// Who of the data group does what: every bucket is cut into one share per rank, in blocks.
//
// A rank's shares, in bucket order, packed without gaps, are its part of the reduced gradients, of
// the optimizer's moments (ZeRO-1, Rajbhandari et al. 2020, arXiv:1910.02054) and of a checkpoint.
#pragma once

#include <cstddef>
#include <vector>

#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::optim {

struct ShardPlan {
  int rank = 0;
  int size = 1;
  std::vector<std::vector<parallel::Interval>> shares;  // [bucket][rank]

  parallel::Interval Own(size_t bucket) const { return shares[bucket][static_cast<size_t>(rank)]; }
  std::vector<size_t> Counts(size_t bucket) const;  // floats per rank
  std::vector<parallel::Interval> OwnIntervals() const;
};

ShardPlan PlanShards(const parallel::ParameterTable& table, int rank, int size);

// Flat positions of some intervals, packed in order.
struct Packed {
  std::vector<parallel::Interval> intervals;
  std::vector<size_t> offsets;  // of each interval in the packed array
  size_t size = 0;
};

Packed Pack(std::vector<parallel::Interval> intervals);

}  // namespace muster::trainer::optim
