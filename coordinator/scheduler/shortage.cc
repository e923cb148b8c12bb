#include "coordinator/scheduler/shortage.h"

#include <fmt/format.h>

#include <algorithm>

namespace muster::coordinator::scheduler {
namespace {

std::string AxisOf(const Shape& shape, Level level, uint32_t block) {
  if (shape.spread_across != v1::DOMAIN_UNSPECIFIED && level == LevelOf(shape.spread_across) &&
      block == shape.ranks / shape.spread_parts) {
    const uint32_t own[] = {shape.node_block, shape.nvlink_block, shape.rack_block,
                            shape.pod_block};
    if (own[level] < block) return shape.spread_axis;
  }
  switch (level) {
    case kNode:
      return shape.node_axis;
    case kSegment:
      return shape.nvlink_axis;
    case kRack:
      return shape.rack_axis;
    case kPod:
      return shape.pod_axis;
    case kCluster:
      break;
  }
  return "";
}

uint32_t Largest(const std::vector<uint32_t>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

}  // namespace

Shortage FindShortage(const Shape& shape, const Capacity& capacity, bool placeable) {
  Shortage shortage;
  const uint64_t free = capacity.slots[kCluster][0];
  const uint64_t per_rank = shape.slots_per_rank;
  for (uint32_t at = kNode; at < kCluster; ++at) {
    const auto level = static_cast<Level>(at);
    const uint32_t block = capacity.block[level];
    const uint64_t block_slots = block * per_rank;
    // A level without a block of its own fails only with those inside it.
    if (level == kNode ? block_slots <= 1 : block <= capacity.block[level - 1]) continue;
    uint64_t ranks = 0;
    for (const uint32_t each : capacity.ranks[level]) ranks += each;
    if (ranks >= shape.ranks) continue;
    shortage.level = level;
    shortage.axis = AxisOf(shape, level, block);
    shortage.block = block_slots;
    shortage.blocks_missing = (shape.ranks - ranks) / block;
    if (ranks == 0) {
      shortage.kind = Shortage::kBlock;
      shortage.needed = block_slots;
      shortage.there =
          level == kNode ? Largest(capacity.slots[kNode]) : Largest(capacity.raw[level]) * per_rank;
      return shortage;
    }
    shortage.kind = free < shape.slots() ? Shortage::kSlots : Shortage::kBlocks;
    shortage.needed = shape.ranks / block;
    shortage.there = ranks / block;
    break;
  }
  if (free < shape.slots()) {
    shortage.kind = Shortage::kSlots;
    shortage.needed = shape.slots();
    shortage.there = free;
    return shortage;
  }
  if (shortage.kind != Shortage::kNothing || shape.spread_across == v1::DOMAIN_UNSPECIFIED) {
    return shortage;
  }
  const Level across = LevelOf(shape.spread_across);
  uint64_t domains = 0;
  for (const uint32_t ranks : capacity.ranks[across]) domains += ranks > 0 ? 1 : 0;
  domains = std::min<uint64_t>(domains, shape.ranks / capacity.block[across]);
  shortage.level = across;
  shortage.axis = shape.spread_axis;
  shortage.block = capacity.block[across] * per_rank;
  shortage.needed = shape.spread_at_least;
  shortage.there = domains;
  if (domains < shape.spread_at_least) {
    shortage.kind = Shortage::kDomains;
  } else if (!placeable) {
    shortage.kind = Shortage::kSpreadTie;
  }
  return shortage;
}

std::string LevelText(Level level) {
  switch (level) {
    case kNode:
      return "node";
    case kSegment:
      return "nvlink segment";
    case kRack:
      return "rack";
    case kPod:
      return "pod";
    case kCluster:
      break;
  }
  return "cluster";
}

std::string CountText(uint64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace muster::coordinator::scheduler
