// What the trainer asks of a resume: which boxes of a checkpoint are its state, and which
// checkpoints are of its model.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "checkpoint/load_plan.h"
#include "checkpoint/manifest.h"
#include "rank/checkpoint/section.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::loop {

// `needed` in full, but of another job's checkpoint without moments (an imported model) the
// parameters alone: the moments begin at zero, as the optimizer made them.
std::vector<checkpoint::Request> RequestsOf(const std::vector<rank::Section>& needed,
                                            const checkpoint::Manifest& manifest, bool from_init);

// Errors: kFailedPrecondition names both models.
absl::Status CheckModel(const checkpoint::Manifest& manifest, const std::string& folder,
                        const parallel::ModelConfig& model);

}  // namespace muster::trainer::loop
