// Divides a gang over a tree of domains, given the room on each node: how many ranks where.
//
// Blocks nest (each is a multiple of those inside it), so a domain's capacity is the sum of its
// children's, rounded down to whole blocks, and any whole number of blocks up to it can be had: a
// greedy choice never fails where another would succeed. A spread inside larger blocks is the one
// exception (see place.h).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "coordinator/scheduler/domain_tree.h"
#include "coordinator/scheduler/shape.h"

namespace muster::coordinator::scheduler {

// Levels of the tree.
enum Level : uint32_t { kNode = 0, kSegment = 1, kRack = 2, kPod = 3, kCluster = 4 };
constexpr uint32_t kLevels = 5;

// The level of a domain kind, which must be one.
Level LevelOf(v1::Domain kind);

// Ranks that must share a domain of each level, once nesting and spread are taken into account:
// each is a multiple of the one before. Of the cluster: all.
std::array<uint32_t, kLevels> BlocksOf(const Shape& shape);

// What each domain of each level can hold.
struct Capacity {
  std::array<uint32_t, kLevels> block;
  std::array<std::vector<uint32_t>, kLevels> slots;  // slots the gang may use
  std::array<std::vector<uint32_t>, kLevels> raw;    // ranks, before rounding to whole blocks
  std::array<std::vector<uint32_t>, kLevels> ranks;  // in whole blocks
};

Capacity CapacityOf(const Shape& shape, const DomainTree& tree, const std::vector<uint32_t>& room);

// True when the gang fits. `capacity` of the same shape.
bool Fits(const Shape& shape, const Capacity& capacity);

// `ranks` of the gang on the node at `leaf`.
struct Run {
  uint32_t leaf;
  uint32_t ranks;
};

// By leaf; empty when it does not fit. `liked` by leaf: chosen among equals; empty = none.
std::vector<Run> Pack(const Shape& shape, const DomainTree& tree, const Capacity& capacity,
                      const std::vector<uint8_t>& liked);

}  // namespace muster::coordinator::scheduler
