// The global gradient norm, with bits that do not depend on the data layout or on ZeRO: squares
// are summed per block of 1024 floats in double, and the blocks added in block order.
#pragma once

#include <span>
#include <vector>

#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::optim {

// Sums of squares of the blocks of `interval` (whole blocks), whose floats are `grads`. Replicated
// parameters count on tensor rank 0 only.
std::vector<double> BlockSquares(const parallel::ParameterTable& table, parallel::Interval interval,
                                 std::span<const float> grads);

// What to multiply the gradients with so that their norm is at most `clip`; 1 when clip is 0.
float ClipScale(double norm, double clip);

}  // namespace muster::trainer::optim
