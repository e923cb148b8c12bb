// How far a run has come, beside its weights: what each checkpoint carries along with the tensors.
#pragma once

#include <cstdint>

#include "checkpoint/manifest.h"
#include "dataset/dataset_info.h"
#include "trainer/loop/config.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::loop {

struct RunCounters {
  uint64_t next_sample = 0;  // global number
  uint64_t tokens = 0;
  double first_bits_per_byte = 0;  // of the held-out text, before the first step; 0 = not measured
  double bits_per_byte = 0;
};

checkpoint::RunState RunStateOf(const RunCounters& counters, const TrainConfig& config,
                                const parallel::ModelConfig& model,
                                const dataset::DatasetInfo& data);

// What is not in `run` stays 0.
RunCounters CountersOf(const checkpoint::RunState& run);

}  // namespace muster::trainer::loop
