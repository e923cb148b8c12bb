// Held-out loss as bits per byte of text, comparable between tokenizers and models.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "trainer/data/batches.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/model/model.h"

namespace muster::trainer::loop {

// Over the first `samples` held-out windows, shared out over the data group. The batches and the
// order of adding do not depend on the layout. Collective over the world; 0 when there is nothing
// to evaluate on.
absl::StatusOr<double> BitsPerByte(model::Model& model, std::span<const float> params,
                                   data::Batches& batches, uint64_t samples, RankGroups& groups);

}  // namespace muster::trainer::loop
