#include <algorithm>

#include "common/check.h"
#include "coordinator/scheduler/packing.h"

namespace muster::coordinator::scheduler {
namespace {

// Sums `from` over the children of each domain; `begin` as in DomainTree.
std::vector<uint32_t> Sums(const std::vector<uint32_t>& from, const std::vector<uint32_t>& begin) {
  if (begin.size() - 1 == from.size()) return from;  // one child each
  std::vector<uint32_t> sums(begin.size() - 1);
  for (size_t i = 0; i < sums.size(); ++i) {
    for (uint32_t child = begin[i]; child < begin[i + 1]; ++child) sums[i] += from[child];
  }
  return sums;
}

void WholeBlocks(std::vector<uint32_t>& ranks, uint32_t block) {
  if ((block & (block - 1)) == 0) {  // far cheaper than divisions
    for (uint32_t& each : ranks) each &= ~(block - 1);
  } else {
    for (uint32_t& each : ranks) each -= each % block;
  }
}

}  // namespace

Level LevelOf(v1::Domain kind) {
  switch (kind) {
    case v1::DOMAIN_NODE:
      return kNode;
    case v1::DOMAIN_NVLINK:
      return kSegment;
    case v1::DOMAIN_RACK:
      return kRack;
    case v1::DOMAIN_POD:
      return kPod;
    case v1::DOMAIN_UNSPECIFIED:
    case v1::Domain_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Domain_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  CHECK(false, "level of no domain kind");
}

std::array<uint32_t, kLevels> BlocksOf(const Shape& shape) {
  std::array<uint32_t, kLevels> block = {shape.node_block, shape.nvlink_block, shape.rack_block,
                                         shape.pod_block, shape.ranks};
  if (shape.spread_across != v1::DOMAIN_UNSPECIFIED) {
    uint32_t& at = block[LevelOf(shape.spread_across)];
    at = std::max(at, shape.ranks / shape.spread_parts);
  }
  for (uint32_t level = 1; level < kLevels; ++level) {
    block[level] = std::max(block[level], block[level - 1]);
  }
  return block;
}

Capacity CapacityOf(const Shape& shape, const DomainTree& tree, const std::vector<uint32_t>& room) {
  Capacity capacity;
  capacity.block = BlocksOf(shape);
  const std::vector<uint32_t> all = {0, static_cast<uint32_t>(tree.pod_begin.size() - 1)};
  const std::array<const std::vector<uint32_t>*, kLevels> begin = {
      nullptr, &tree.segment_begin, &tree.rack_begin, &tree.pod_begin, &all};
  for (uint32_t level = 0; level < kLevels; ++level) {
    if (level == kNode) {
      capacity.slots[kNode] = room;
      capacity.raw[kNode] = room;
      if (shape.slots_per_rank > 1) {
        for (uint32_t& ranks : capacity.raw[kNode]) ranks /= shape.slots_per_rank;
      }
    } else {
      capacity.slots[level] = Sums(capacity.slots[level - 1], *begin[level]);
      capacity.raw[level] = Sums(capacity.ranks[level - 1], *begin[level]);
    }
    capacity.ranks[level] = capacity.raw[level];
    const uint32_t block = capacity.block[level];
    if (block > 1 && level != kCluster) WholeBlocks(capacity.ranks[level], block);
  }
  return capacity;
}

bool Fits(const Shape& shape, const Capacity& capacity) {
  if (capacity.ranks[kCluster][0] < shape.ranks) return false;
  if (shape.spread_across == v1::DOMAIN_UNSPECIFIED) return true;
  const Level across = LevelOf(shape.spread_across);
  const auto& ranks = capacity.ranks[across];
  const auto with_room =
      std::count_if(ranks.begin(), ranks.end(), [](uint32_t r) { return r > 0; });
  return static_cast<uint64_t>(with_room) >= shape.spread_at_least &&
         shape.ranks / capacity.block[across] >= shape.spread_at_least;
}

}  // namespace muster::coordinator::scheduler
