// What the trainer reads from a complete job document (YAML or JSON; the job file's own keys).
//
// The document comes with every default filled in; the trainer knows none, so a key that is not
// there is an error. Keys that only the cluster needs are left alone.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/optim/adamw.h"
#include "trainer/optim/gradient_reducer.h"
#include "trainer/optim/schedule.h"
#include "trainer/parallel/mesh.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::loop {

struct TrainConfig {
  std::string name;
  parallel::Mesh mesh;

  parallel::ModelConfig model;  // vocab 0: the dataset knows it
  std::string data_path;
  int global_batch = 0;  // samples per step
  int micro_batch = 0;   // samples per pass of one rank
  optim::AdamW adamw;
  optim::Schedule schedule;
  double clip = 0;
  uint64_t eval_every_steps = 0;  // 0: only before the first and after the last step
  uint64_t eval_samples = 0;
  uint64_t steps = 0;
  uint64_t seed = 0;
  std::string collective;
  optim::Reproducible reproducible = optim::Reproducible::kRun;
  bool zero = true;
  int threads_per_rank = 1;

  std::string checkpoint_path;
  uint64_t save_every_steps = 0;     // 0: only after the last step
  double save_every_seconds = 0;     // since the last save began; 0: not because of time
  uint64_t ram_every_steps = 0;      // 0: as often as it costs under 1 % of the time
  uint64_t compare_every_steps = 0;  // replicas; 0: only at each save
  uint32_t keep = 0;                 // 0: all
  uint64_t keep_every_steps = 0;     // steps divisible by it stay too; 0: none
  uint32_t keep_best = 0;            // those with the lowest held-out loss stay too; 0: none
  std::string init_from;             // "" = random first values

  std::string digest;  // SHA-256 of the document

  // Passes of one rank per step.
  int MicroBatchesPerRank() const;
};

// Errors: kInvalidArgument: `job.json: missing train.optimizer.beta1; complete the file with:
// muster validate -o yaml job.json`, or the key and what it must be. `name` is for messages.
absl::StatusOr<TrainConfig> ParseTrainConfig(const std::string& text, const std::string& name);
absl::StatusOr<TrainConfig> ReadTrainConfig(const std::string& path);

}  // namespace muster::trainer::loop
