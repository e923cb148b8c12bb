#include "coordinator/scheduler/gang.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace muster::coordinator::scheduler {
namespace {

std::set<std::string> NodesOf(const Ask& ask) {
  std::set<std::string> names;
  if (ask.previous != nullptr) {
    for (const v1::NodeShare& share : *ask.previous) names.insert(share.node());
  }
  return names;
}

struct Share {
  const FreeNode* node;
  uint32_t capacity;  // blocks that fit
  bool previous;
};

// Takes shares until `blocks` are covered, fewest nodes first. Empty when they do not fit.
std::vector<std::pair<const FreeNode*, uint32_t>> Choose(std::vector<Share> shares,
                                                         uint32_t blocks) {
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    if (a.capacity != b.capacity) return a.capacity > b.capacity;
    if (a.previous != b.previous) return a.previous;
    return NaturalLess(a.node->name.value(), b.node->name.value());
  });
  std::vector<std::pair<const FreeNode*, uint32_t>> chosen;
  size_t next = 0;
  while (blocks > 0) {
    if (next == shares.size()) return {};
    if (shares[next].capacity < blocks) {
      chosen.emplace_back(shares[next].node, shares[next].capacity);
      blocks -= shares[next].capacity;
      ++next;
      continue;
    }
    // One node covers the rest: a previous one if any does, else the tightest fit.
    size_t best = next;
    for (size_t i = next + 1; i < shares.size() && shares[i].capacity >= blocks; ++i) {
      const Share& a = shares[i];
      const Share& b = shares[best];
      if (a.previous != b.previous ? a.previous : a.capacity < b.capacity) best = i;
    }
    chosen.emplace_back(shares[best].node, blocks);
    blocks = 0;
  }
  std::sort(chosen.begin(), chosen.end(), [](const auto& a, const auto& b) {
    return NaturalLess(a.first->name.value(), b.first->name.value());
  });
  return chosen;
}

}  // namespace

GangShape GangShapeOf(const v1::JobSpec& spec) {
  GangShape shape;
  shape.slots_per_rank = std::max(1u, spec.resources().slots_per_rank());
  for (const v1::Axis& axis : spec.mesh()) {
    const uint32_t size = std::max(1u, axis.size());
    shape.ranks *= size;
    if (shape.block_axis.empty()) {
      if (axis.within() != v1::DOMAIN_NODE) continue;
      shape.block_axis = axis.name();
    }
    shape.block_ranks *= size;
  }
  return shape;
}

uint32_t WorldSize(const v1::JobSpec& spec) { return GangShapeOf(spec).ranks; }

std::optional<std::vector<v1::NodeShare>> PlaceAsBefore(const Ask& ask, const GangShape& shape,
                                                        const std::vector<FreeNode>& nodes) {
  if (ask.previous == nullptr) return std::nullopt;
  uint32_t ranks = 0;
  std::map<std::string, const FreeNode*> by_name;
  for (const FreeNode& node : nodes) by_name.emplace(node.name.value(), &node);
  for (const v1::NodeShare& share : *ask.previous) {
    const auto found = by_name.find(share.node());
    if (found == by_name.end() || !found->second->usable) return std::nullopt;
    const std::vector<uint32_t>& free = found->second->free_slots;
    for (const uint32_t slot : share.slots()) {
      if (!std::binary_search(free.begin(), free.end(), slot)) return std::nullopt;
    }
    ranks += share.ranks();
  }
  if (ranks != shape.ranks) return std::nullopt;
  return std::vector<v1::NodeShare>(ask.previous->begin(), ask.previous->end());
}

std::optional<std::vector<v1::NodeShare>> PlacePacked(const Ask& ask, const GangShape& shape,
                                                      const std::vector<FreeNode>& nodes) {
  const std::set<std::string> previous = NodesOf(ask);
  std::vector<Share> shares;
  for (const FreeNode& node : nodes) {
    if (!node.usable) continue;
    const auto capacity = static_cast<uint32_t>(node.free_slots.size() / shape.block_slots());
    if (capacity > 0) shares.push_back({&node, capacity, previous.count(node.name.value()) > 0});
  }
  const auto chosen = Choose(std::move(shares), shape.blocks());
  if (chosen.empty()) return std::nullopt;
  std::vector<v1::NodeShare> placed;
  placed.reserve(chosen.size());
  uint32_t first_rank = 0;
  for (const auto& [node, blocks] : chosen) {
    v1::NodeShare& share = placed.emplace_back();
    share.set_node(node->name.value());
    share.set_first_rank(first_rank);
    share.set_ranks(blocks * shape.block_ranks);
    first_rank += share.ranks();
    const auto slots = static_cast<std::ptrdiff_t>(share.ranks() * shape.slots_per_rank);
    share.mutable_slots()->Assign(node->free_slots.begin(), node->free_slots.begin() + slots);
  }
  return placed;
}

}  // namespace muster::coordinator::scheduler
