// The shape of one gang and its placement on a set of nodes: all ranks or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/scheduler/natural_order.h"
#include "coordinator/scheduler/plan.h"

namespace muster::coordinator::scheduler {

// Ranks come in blocks of `block_ranks` consecutive ones that must share a node.
struct GangShape {
  uint32_t ranks = 1;
  uint32_t block_ranks = 1;
  uint32_t slots_per_rank = 1;
  std::string block_axis;  // the outermost axis with within: node; empty = none

  uint32_t block_slots() const { return block_ranks * slots_per_rank; }
  uint32_t blocks() const { return ranks / block_ranks; }
};

GangShape GangShapeOf(const v1::JobSpec& spec);

// The previous placement again, when every slot of it is free; else nullopt.
std::optional<std::vector<v1::NodeShare>> PlaceAsBefore(const Ask& ask, const GangShape& shape,
                                                        const std::vector<FreeNode>& nodes);

// On the fewest nodes; among equals those of `previous`, then the tightest fit, then by name.
std::optional<std::vector<v1::NodeShare>> PlacePacked(const Ask& ask, const GangShape& shape,
                                                      const std::vector<FreeNode>& nodes);

}  // namespace muster::coordinator::scheduler
