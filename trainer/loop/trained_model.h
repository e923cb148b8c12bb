// A model loaded whole from a checkpoint, on one rank: for sampling and evaluation.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "dataset/tokenizer.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/model/model.h"

namespace muster::trainer::loop {

struct TrainedModel {
  checkpoint::Manifest manifest;
  std::string folder;
  std::unique_ptr<model::Model> model;  // with room for `batch` sequences
  kernels::cpu::AlignedFloats params;
};

// `path` is one checkpoint, or a job's folder of checkpoints: then the newest that verifies. Every
// byte used is checked. Errors: kNotFound, kDataLoss.
absl::StatusOr<TrainedModel> LoadTrainedModel(const std::string& path, int batch);

// The tokenizer the model was trained with. `data` is the dataset's folder; "" = the one the
// checkpoint names. The byte tokenizer needs no folder.
absl::StatusOr<std::unique_ptr<dataset::Tokenizer>> TokenizerOf(const checkpoint::RunState& run,
                                                                const std::string& data);

}  // namespace muster::trainer::loop
