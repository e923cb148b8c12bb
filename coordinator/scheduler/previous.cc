#include "coordinator/scheduler/previous.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "coordinator/scheduler/domain_tree.h"
#include "coordinator/scheduler/packing.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr std::array<v1::Domain, 4> kKinds = {v1::DOMAIN_NODE, v1::DOMAIN_NVLINK, v1::DOMAIN_RACK,
                                              v1::DOMAIN_POD};

bool MayStay(const v1::NodeShare& share, const Inventory& inventory, const NodeRules& rules) {
  const NodeIndex node = inventory.Find(NodeId(share.node()));
  return node != Inventory::kNone &&
         std::all_of(share.slots().begin(), share.slots().end(),
                     [&](uint32_t slot) { return rules.MayUse(node, slot); });
}

// The nodes of shares, kNone where one is still to be found.
class Replacement {
 public:
  Replacement(const Gang& gang, const Inventory& inventory, const NodeRules& rules,
              std::vector<v1::NodeShare>& shares)
      : gang_(gang),
        inventory_(inventory),
        rules_(rules),
        shares_(shares),
        block_(BlocksOf(*gang.shape)) {}

  bool Run() {
    std::vector<size_t> lost;
    for (size_t i = 0; i < shares_.size(); ++i) {
      const bool stays = MayStay(shares_[i], inventory_, rules_);
      nodes_.push_back(stays ? inventory_.Find(NodeId(shares_[i].node())) : Inventory::kNone);
      if (stays) used_.insert(nodes_.back());
      if (!stays) lost.push_back(i);
    }
    if (lost.size() == shares_.size() || lost.size() > kReplacedMost) return false;
    return std::all_of(lost.begin(), lost.end(), [this](size_t i) { return Replace(i); });
  }

 private:
  bool Replace(size_t i) {
    const NodeIndex gone = inventory_.Find(NodeId(shares_[i].node()));
    NodeIndex best = Inventory::kNone;
    for (const NodeIndex node : inventory_.tree().order) {
      if (rules_.Room(node) < static_cast<uint32_t>(shares_[i].slots_size())) continue;
      if (used_.count(node) > 0 || !FitsBeside(i, node)) continue;
      if (best == Inventory::kNone || Better(node, best, gone)) best = node;
    }
    if (best == Inventory::kNone) return false;
    used_.insert(best);
    nodes_[i] = best;
    v1::NodeShare& share = shares_[i];
    const std::vector<uint32_t> slots = rules_.Slots(best);
    share.set_node(inventory_.facts(best).name.value());
    for (int slot = 0; slot < share.slots_size(); ++slot) {
      share.set_slots(slot, slots[static_cast<size_t>(slot)]);
    }
    return true;
  }

  // True when `node` is in the domains of those it shares blocks with, as far as they are known.
  bool FitsBeside(size_t i, NodeIndex node) const {
    for (uint32_t level = kSegment; level < kCluster; ++level) {
      if (block_[level] <= 1) continue;
      const auto block_of = [&](size_t at) { return shares_[at].first_rank() / block_[level]; };
      const auto apart = [&](size_t at) {
        return nodes_[at] != Inventory::kNone && inventory_.domain(nodes_[at], kKinds[level]) !=
                                                     inventory_.domain(node, kKinds[level]);
      };
      for (size_t at = i; at-- > 0 && LastBlock(at, level) == block_of(i);) {
        if (apart(at)) return false;
      }
      for (size_t at = i + 1; at < shares_.size() && block_of(at) == LastBlock(i, level); ++at) {
        if (apart(at)) return false;
      }
    }
    return true;
  }

  uint32_t LastBlock(size_t at, uint32_t level) const {
    return (shares_[at].first_rank() + shares_[at].ranks() - 1) / block_[level];
  }

  int Closeness(NodeIndex node, NodeIndex gone) const {
    if (gone == Inventory::kNone) return 0;
    int shared = 0;
    for (const v1::Domain kind : kKinds) {
      shared += inventory_.domain(node, kind) == inventory_.domain(gone, kind) ? 1 : 0;
    }
    return shared;
  }

  bool Better(NodeIndex a, NodeIndex b, NodeIndex gone) const {
    const bool spare_a = inventory_.spare_for(a) == gang_.job;
    const bool spare_b = inventory_.spare_for(b) == gang_.job;
    if (spare_a != spare_b) return spare_a;
    const int close_a = Closeness(a, gone), close_b = Closeness(b, gone);
    if (close_a != close_b) return close_a > close_b;
    return inventory_.free_slots(a) < inventory_.free_slots(b);
  }

  const Gang& gang_;
  const Inventory& inventory_;
  const NodeRules& rules_;
  std::vector<v1::NodeShare>& shares_;
  std::array<uint32_t, kLevels> block_;
  std::vector<NodeIndex> nodes_;
  std::set<NodeIndex> used_;
};

std::vector<v1::NodeShare> PreviousOf(const Gang& gang) {
  if (gang.previous == nullptr) return {};
  return {gang.previous->begin(), gang.previous->end()};
}

bool SameSize(const Shape& shape, const std::vector<v1::NodeShare>& shares) {
  uint64_t ranks = 0;
  for (const v1::NodeShare& share : shares) {
    if (share.first_rank() != ranks || share.ranks() == 0) return false;
    if (static_cast<uint64_t>(share.slots_size()) !=
        uint64_t{share.ranks()} * shape.slots_per_rank) {
      return false;
    }
    ranks += share.ranks();
  }
  return ranks == shape.ranks;
}

}  // namespace

std::optional<std::vector<v1::NodeShare>> PlaceAsBefore(const Gang& gang,
                                                        const Inventory& inventory,
                                                        const NodeRules& rules) {
  std::vector<v1::NodeShare> shares = PreviousOf(gang);
  if (!SameSize(*gang.shape, shares)) return std::nullopt;
  for (const v1::NodeShare& share : shares) {
    if (!MayStay(share, inventory, rules)) return std::nullopt;
  }
  if (!KeepsShape(*gang.shape, inventory, shares)) return std::nullopt;
  return shares;
}

std::optional<std::vector<v1::NodeShare>> PlaceWithReplacements(const Gang& gang,
                                                                const Inventory& inventory,
                                                                const NodeRules& rules) {
  std::vector<v1::NodeShare> shares = PreviousOf(gang);
  if (!SameSize(*gang.shape, shares)) return std::nullopt;
  if (!Replacement(gang, inventory, rules, shares).Run()) return std::nullopt;
  if (!KeepsShape(*gang.shape, inventory, shares)) return std::nullopt;
  return shares;
}

bool KeepsShape(const Shape& shape, const Inventory& inventory,
                const std::vector<v1::NodeShare>& shares) {
  if (!SameSize(shape, shares)) return false;
  const std::array<uint32_t, kLevels> block = BlocksOf(shape);
  std::set<NodeIndex> nodes;
  std::set<DomainIndex> spread;
  NodeIndex before = Inventory::kNone;
  for (const v1::NodeShare& share : shares) {
    const NodeIndex node = inventory.Find(NodeId(share.node()));
    if (node == Inventory::kNone || !nodes.insert(node).second) return false;
    for (uint32_t level = kNode; level < kCluster; ++level) {
      if (share.first_rank() % block[level] == 0) continue;
      if (inventory.domain(before, kKinds[level]) != inventory.domain(node, kKinds[level])) {
        return false;
      }
    }
    if (shape.spread_across != v1::DOMAIN_UNSPECIFIED) {
      spread.insert(inventory.domain(node, shape.spread_across));
    }
    before = node;
  }
  return spread.size() >= shape.spread_at_least;
}

}  // namespace muster::coordinator::scheduler
