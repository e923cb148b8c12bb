// One node's part in the launch of an attempt: its order, opened.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/shim.pb.h"

namespace muster::worker::launch {

// A node of the attempt and the consecutive ranks it holds.
struct LaunchNode {
  std::string name;
  uint32_t first_rank = 0;
  uint32_t ranks = 0;
};

struct Launch {
  v1::ShimOrder order;
  v1::GangOrder gang;
  std::vector<LaunchNode> nodes;  // by first rank
  uint32_t world_size = 0;

  // The index in `nodes` of the one that holds the rank, which must be below world_size.
  uint32_t NodeOf(uint32_t rank) const;
};

// kInvalidArgument when the order and its table of ranks do not agree.
absl::StatusOr<Launch> OpenOrder(v1::ShimOrder order);

}  // namespace muster::worker::launch
