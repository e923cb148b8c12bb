// First values of the parameters.
//
// Normal, mean 0, deviation 0.02; the projections that end a residual branch (o_proj, down_proj)
// 0.02 / sqrt(2 · layers) (GPT-2, Radford et al. 2019, section 2.3); norms 1. Each value is a
// function of (seed, name, index in the whole tensor), so every layout starts the same.
#pragma once

#include <cstdint>
#include <span>

#include "trainer/parallel/model_config.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::model {

// Fills the whole flat buffer (table.size floats), padding with zero.
void InitParameters(const parallel::ModelConfig& config, const parallel::ParameterTable& table,
                    uint64_t seed, std::span<float> params);

}  // namespace muster::trainer::model
