// What the ranks tell each other once per step, in one collective: losses, gradient squares, and
// whether somebody was told to stop or save.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "rank/checkpoint/fill_report.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/optim/shard_plan.h"

namespace muster::trainer::loop {

struct StepReport {
  bool stop = false;
  uint64_t save = 0;
  uint64_t written = 0;         // CheckpointSaver::WrittenStep
  bool time_is_up = false;      // SaveCadence::TimeIsUp; that of rank 0 counts
  uint64_t weights = 0;         // HashOfReplica, when replicas are compared in this step
  rank::FillReport fill;        // CheckpointSaver::ReportFill
  double seconds = 0;           // the step before took
  std::vector<double> losses;   // sum of nats, per micro-batch of this rank
  std::vector<double> squares;  // of this rank's gradient blocks, its shares in bucket order
};

struct StepSummary {
  bool stop = false;
  uint64_t save = 0;     // the largest
  bool written = false;  // every rank is through with its oldest save
  bool time_is_up = false;
  std::vector<uint64_t> weights;  // of every rank
  rank::FillSummary fill;
  double seconds = 0;    // the step before took, at the slowest rank
  double loss_sum = 0;   // nats, micro-batches added in global order
  double grad_norm = 0;  // blocks added in flat order, tensor rank by tensor rank
};

// Collective over the world; the same result on every rank.
absl::StatusOr<StepSummary> ExchangeReports(RankGroups& groups, const optim::ShardPlan& plan,
                                            const StepReport& mine);

}  // namespace muster::trainer::loop
