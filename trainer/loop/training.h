// A training run, from the newest checkpoint (or fresh) to the last step or an order to stop.
//
// The same call on every rank of the world. Which samples a step sees is a function of (seed,
// global sample number); with equal layout, or with `reproducible: layout` and any data axis, a run
// that was stopped and resumed ends in the bits of the one that was not.
//
// Time:    a monotonic clock for speeds and for giving up; nothing computed depends on it.
// Threads: one per rank.
// Errors:  before training: bad job or data, kFailedPrecondition when a person must act (data
//          changed, other model), kDataLoss when all checkpoints are damaged. Failed saves are
//          lines, not errors, but for the last one. SaidByAll tells whether every rank has the
//          same error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/resume.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/rank_slots.h"
#include "trainer/collective/collective.h"
#include "trainer/loop/config.h"
#include "trainer/loop/fail_injection.h"
#include "trainer/loop/rank_link.h"

namespace muster::trainer::loop {

struct TrainingOptions {
  TrainConfig config;
  std::string checkpoints;  // folder of this job's checkpoints
  std::string job_uid;
  std::optional<uint64_t> attempt;  // nullopt: one more than any in the folder
  std::optional<std::vector<checkpoint::Permitted>> permitted;  // see ResumeRequest
  rank::VaultOptions vault;
  bool verify_data = true;  // read all data once and compare the digests; one rank per node
  std::optional<FailInjection> fail;
  std::function<double()> seconds =
      {};                            // a monotonic clock for checkpoint.every; none: the real one
  double final_save_seconds = 180;   // how long the last save is tried
  double stop_save_seconds = 60;     // the same, when told to stop
  double save_patience_seconds = 5;  // how long a save waits for an earlier one
  rank::Console console;
};

struct TrainingResult {
  bool stopped = false;  // by order, before the last step
  uint64_t step = 0;     // finished
  uint64_t first_step = 0;
  double loss = 0;  // nats per token, of the last step; 0 if none was made
  double bits_per_byte = 0;
};

absl::StatusOr<TrainingResult> RunTraining(const TrainingOptions& options,
                                           collective::Collective& world, RankLink* link,
                                           checkpoint::FileSystem& files);

}  // namespace muster::trainer::loop
