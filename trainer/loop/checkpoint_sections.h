// Which floats of a rank are which boxes of a checkpoint.
//
// Tensors: every parameter under its own name, and its moments as `adamw.exp_avg.NAME` and
// `adamw.exp_avg_sq.NAME`, all fp32.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "rank/checkpoint/section.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/shard_plan.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::loop {

// Whether a checkpoint's tensor is a moment, not a parameter.
bool IsMoment(std::string_view tensor);

// What this rank writes: its shares, so that over all ranks every box is written once; replicated
// parameters come from tensor rank 0.
std::vector<rank::Section> OwnedSections(const parallel::ParameterTable& table,
                                         const optim::ShardPlan& plan, std::span<float> params,
                                         optim::Optimizer& optimizer);

// What this rank needs: all its parameters, and the moments it updates (none without optimizer).
std::vector<rank::Section> NeededSections(const parallel::ParameterTable& table,
                                          std::span<float> params, optim::Optimizer* optimizer);

}  // namespace muster::trainer::loop
