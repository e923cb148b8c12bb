#include "coordinator/scheduler/place.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "coordinator/scheduler/domain_tree.h"
#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/packing.h"
#include "coordinator/scheduler/previous.h"
#include "coordinator/scheduler/spares.h"

namespace muster::coordinator::scheduler {
namespace {

// By leaf: 1 for the previous nodes.
std::vector<uint8_t> Liked(const Gang& gang, const Inventory& inventory) {
  if (gang.previous == nullptr || gang.previous->empty()) return {};
  std::vector<uint8_t> liked(inventory.size());
  for (const v1::NodeShare& share : *gang.previous) {
    const NodeIndex node = inventory.Find(NodeId(share.node()));
    if (node != Inventory::kNone) liked[inventory.tree().leaf_of[node]] = 1;
  }
  return liked;
}

std::optional<std::vector<v1::NodeShare>> PlaceAfresh(const Gang& gang, const Inventory& inventory,
                                                      const NodeRules& rules) {
  const Shape& shape = *gang.shape;
  const DomainTree& tree = inventory.tree();
  const std::vector<uint32_t> room = rules.RoomByLeaf();
  if (std::accumulate(room.begin(), room.end(), uint64_t{0}) < shape.slots()) return std::nullopt;
  const Capacity capacity = CapacityOf(shape, tree, room);
  if (!Fits(shape, capacity)) return std::nullopt;
  const std::vector<Run> runs = Pack(shape, tree, capacity, Liked(gang, inventory));
  if (runs.empty()) return std::nullopt;
  std::vector<v1::NodeShare> shares(runs.size());
  uint32_t first = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const NodeIndex node = tree.order[runs[i].leaf];
    const std::vector<uint32_t> slots = rules.Slots(node);
    const size_t count = size_t{runs[i].ranks} * shape.slots_per_rank;
    CHECK(count <= slots.size(), "{} has {} slots for {}", inventory.facts(node).name.value(),
          slots.size(), count);
    shares[i].set_node(inventory.facts(node).name.value());
    shares[i].set_first_rank(first);
    shares[i].set_ranks(runs[i].ranks);
    shares[i].mutable_slots()->Add(slots.begin(),
                                   slots.begin() + static_cast<std::ptrdiff_t>(count));
    first += runs[i].ranks;
  }
  CHECK(first == shape.ranks, "{} ranks placed of {}", first, shape.ranks);
  return shares;
}

}  // namespace

std::optional<Placed> Place(const Gang& gang, const Inventory& inventory, const Denied* denied) {
  CHECK(gang.spec != nullptr && gang.shape != nullptr, "job {} asks without spec or shape",
        gang.job.value());
  const NodeRules rules(gang, inventory, denied, kNoRule);
  const NodeRules with_lent(gang, inventory, denied, kLentRule);
  auto shares = PlaceAsBefore(gang, inventory, with_lent);
  if (!shares) shares = PlaceWithReplacements(gang, inventory, rules);
  if (!shares) shares = PlaceAfresh(gang, inventory, rules);
  if (!shares && gang.preemptible && inventory.has_lent()) {
    shares = PlaceAfresh(gang, inventory, with_lent);
  }
  if (!shares) return std::nullopt;
  Placed placed;
  placed.spares = ChooseSpares(gang, inventory, rules, *shares);
  placed.shares = std::move(*shares);
  return placed;
}

}  // namespace muster::coordinator::scheduler
