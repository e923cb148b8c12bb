// The memory that makes a program's state, and who writes which part of it.
//
// Several ranks may have the same part: one of them writes it. By default the largest parts are
// given out first, each to whichever of its ranks has least to write so far; so the same regions
// always give the same writers.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/box.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/section.h"

namespace muster::rank {

enum class Writer { kAny, kThis, kOther };

struct Region {
  Section section;
  Writer writer = Writer::kAny;
};

// Collective; those of `mine` that this rank writes, the same split on every rank. Errors are
// everybody's: kInvalidArgument: what is written has gaps or overlaps, two ranks say that they
// write the same part, or ranks disagree about an array's shape.
absl::StatusOr<std::vector<Section>> ChooseWriters(const std::vector<Region>& mine, Group& group);

}  // namespace muster::rank
