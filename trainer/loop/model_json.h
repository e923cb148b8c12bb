// A model's shape as the JSON object kept in a checkpoint: one text per shape.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::loop {

std::string ModelJson(const parallel::ModelConfig& config);

// Errors: kDataLoss.
absl::StatusOr<parallel::ModelConfig> ParseModelJson(const std::string& text);

}  // namespace muster::trainer::loop
