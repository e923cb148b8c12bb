// The judge of the model: the same transformer in double, one plain loop after the other, straight
// from the papers named in trainer/kernels/cpu. Forward only; its differences judge gradients.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/parallel/model_config.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::model {

// Sum of token losses in nats. `params` is laid out by `table`, which is that of a group of one;
// tokens, targets: [batch, context].
double PlainLoss(const parallel::ModelConfig& config, const parallel::ParameterTable& table,
                 std::span<const double> params, std::span<const int32_t> tokens,
                 std::span<const int32_t> targets);

}  // namespace muster::trainer::model
