// Gradients of one optimizer step: micro-batches added up, then summed over the data group while
// backward still runs.
//
// kRun: micro-batches accumulate one after the other; the same layout gives the same bits.
// kLayout: all micro-batches of the global batch are added in one pairwise tree, whoever computed
// them, at the price of log2(micro-batches per rank) more gradient buffers; every size of the data
// group gives the same bits.
//
// One step: for each micro-batch i: Begin(i), Backward into its target with OnReady as the model's
// callback; then Finish.
//
// Threads: one per rank. All ranks of the data group make the same calls.
// Owns:    the gradient buffers.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/collective/collective.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/optim/shard_plan.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::optim {

enum class Reproducible { kRun, kLayout };

class GradientReducer {
 public:
  // Where Backward writes.
  struct Target {
    std::span<float> grads;
    bool accumulate = false;
  };

  // table, plan and data outlive the reducer. gather: every rank needs every reduced gradient (no
  // ZeRO). kInvalidArgument: kLayout over several ranks needs a power of two of micro-batches each.
  static absl::StatusOr<std::unique_ptr<GradientReducer>> Create(
      const parallel::ParameterTable& table, const ShardPlan& plan, collective::Collective& data,
      Reproducible reproducible, int micro_batches, bool gather);

  Target Begin(int micro_batch);
  absl::Status OnReady(int bucket);
  absl::Status Finish();

  // The reduced gradients of a bucket, after Finish; valid until the next Begin: this rank's share,
  // and the whole bucket when gathered (or alone).
  std::span<const float> Share(size_t bucket) const;
  std::span<const float> Whole(size_t bucket) const;

 private:
  GradientReducer(const parallel::ParameterTable& table, const ShardPlan& plan,
                  collective::Collective& data, Reproducible reproducible, int micro_batches,
                  bool gather);
  void Merge(parallel::Interval bucket);

  const parallel::ParameterTable& table_;
  const ShardPlan& plan_;
  collective::Collective& data_;
  const Reproducible reproducible_;
  const int micro_batches_;
  const bool gather_;

  std::vector<kernels::cpu::AlignedFloats> stack_;  // kRun: one
  size_t depth_ = 0;                                // full buffers below the one being written
  int merges_ = 0;                                  // how many of them the one being written joins
  bool last_ = false;                               // the last micro-batch of the step
  Packed own_;
  kernels::cpu::AlignedFloats shard_;  // own shares, reduced; unused when alone
  std::vector<std::unique_ptr<collective::Pending>> pending_;
};

}  // namespace muster::trainer::optim
