// AdamW over the flat parameter buffer of one rank, its moments sharded over the data group
// (ZeRO-1) or held by everyone. Both give the same bits.
//
// Threads: one per rank. All ranks of the data group make the same calls.
// Owns:    the moments of the intervals this rank updates: its shares, or without ZeRO everything.
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "trainer/collective/collective.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/optim/adamw.h"
#include "trainer/optim/gradient_reducer.h"
#include "trainer/optim/shard_plan.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::optim {

class Optimizer {
 public:
  // table, plan and data outlive the optimizer.
  Optimizer(const AdamW& options, const parallel::ParameterTable& table, const ShardPlan& plan,
            collective::Collective& data, bool zero);

  // Update number `step` (from 1) with the reducer's finished gradients; afterwards every rank has
  // all new parameters.
  absl::Status Update(const GradientReducer& reducer, double lr, float grad_scale, uint64_t step,
                      std::span<float> params);

  // What this rank updates, in flat positions; exp_avg and exp_avg_sq hold these, packed.
  const Packed& updated() const { return updated_; }
  std::span<float> exp_avg() { return exp_avg_.span(); }
  std::span<float> exp_avg_sq() { return exp_avg_sq_.span(); }

  // The moments at flat positions this rank updates (an interval inside one bucket).
  std::span<float> ExpAvg(parallel::Interval interval);
  std::span<float> ExpAvgSq(parallel::Interval interval);

 private:
  size_t OffsetOf(parallel::Interval interval) const;

  const AdamW options_;
  const parallel::ParameterTable& table_;
  const ShardPlan& plan_;
  collective::Collective& data_;
  const bool sharded_;
  Packed updated_;
  kernels::cpu::AlignedFloats exp_avg_;
  kernels::cpu::AlignedFloats exp_avg_sq_;
};

}  // namespace muster::trainer::optim
