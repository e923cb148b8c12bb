#include <fmt/format.h>

#include <map>

#include "common/hostlist.h"
#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/shortage.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr size_t kNodesNamed = 8;  // more are counted
constexpr size_t kReasonsNamed = 4;

struct Kept {
  size_t count = 0;
  std::vector<std::string> names;  // the first ones
};

std::string FirstNotTolerated(const NodeFacts& facts, const v1::PlacementSpec& placement) {
  for (const std::string& taint : facts.taints) {
    bool tolerated = false;
    for (const std::string& each : placement.tolerate()) tolerated |= each == taint;
    if (!tolerated) return taint;
  }
  return "";
}

// Why the rule keeps the gang off the node, as said of the node: "drained (lemon)".
std::string AgainstText(const Gang& gang, const Inventory& inventory, NodeIndex node, Rule rule) {
  switch (rule) {
    case kUsableRule:
      return inventory.why_not(node);
    case kExcludeRule:
      return "excluded by placement.exclude";
    case kSelectRule:
      return "not among placement.select";
    case kTaintRule:
      return fmt::format("tainted {}",
                         FirstNotTolerated(inventory.facts(node), gang.spec->placement()));
    case kDeviceRule:
      return fmt::format("without {}", gang.spec->resources().device());
    case kSpareRule:
    case kLentRule:
      return fmt::format("hot spare of job {}", inventory.spare_for(node).value());
    case kIdleRule:
      return "in use by others";
    case kDeniedRule:
      return "promised to others";
    case kHeldRule:
    case kNoRule:
      break;
  }
  return "";
}

std::string ShortageText(const Shortage& shortage) {
  const std::string where = LevelText(shortage.level);
  switch (shortage.kind) {
    case Shortage::kBlock:
      if (shortage.axis.empty()) return fmt::format(", at most {} on one", shortage.there);
      return fmt::format(", {} needs {} {} one {} and the emptiest has {}", shortage.axis,
                         shortage.needed, shortage.level == kNode ? "on" : "in", where,
                         shortage.there);
    case Shortage::kBlocks:
      return fmt::format(", room for {} of {} of {} in one {} each", shortage.there,
                         CountText(shortage.needed, "group"), CountText(shortage.block, "slot"),
                         where);
    case Shortage::kDomains:
      return fmt::format(", {} needs {} with {} free, {} {}", shortage.axis,
                         CountText(shortage.needed, where), CountText(shortage.block, "slot"),
                         shortage.there, shortage.there == 1 ? "has them" : "have them");
    case Shortage::kSpreadTie:
      return fmt::format(", no way to spread {} over {}", shortage.axis,
                         CountText(shortage.needed, where));
    case Shortage::kSlots:
    case Shortage::kNothing:
      break;
  }
  return "";
}

}  // namespace

std::string WhyNotPlaced(const Gang& gang, const Inventory& inventory, const Denied* denied) {
  const Shape& shape = *gang.shape;
  std::string text = fmt::format("{} × {}", CountText(shape.ranks, "rank"),
                                 CountText(shape.slots_per_rank, "slot"));
  if (inventory.size() == 0) return text + ", no node has joined";
  const DomainTree& tree = inventory.tree();
  const NodeRules rules(gang, inventory, denied, gang.preemptible ? kLentRule : kNoRule);
  std::vector<uint32_t> room(tree.order.size());
  std::map<std::string, Kept> kept;
  size_t with_room = 0;
  uint64_t promised = 0;
  for (size_t leaf = 0; leaf < room.size(); ++leaf) {
    const NodeIndex node = tree.order[leaf];
    const Rule against = rules.Against(node);
    if (against != kNoRule) {
      Kept& nodes = kept[AgainstText(gang, inventory, node, against)];
      if (nodes.count++ < kNodesNamed) {
        nodes.names.push_back(inventory.facts(node).name.value());
      }
      continue;
    }
    room[leaf] = rules.Room(node);
    with_room += room[leaf] > 0 ? 1 : 0;
    if (denied == nullptr) continue;
    for (const uint32_t slot : inventory.FreeSlots(node)) {
      promised += denied->IsDenied(node, slot) ? 1 : 0;
    }
  }
  const Capacity capacity = CapacityOf(shape, tree, room);
  const bool fits = Fits(shape, capacity);
  const bool placeable = fits && !Pack(shape, tree, capacity, {}).empty();
  text += fmt::format(", {} free on {} of {}", capacity.slots[kCluster][0], with_room,
                      CountText(inventory.size(), "node"));
  if (with_room > 0) text += ShortageText(FindShortage(shape, capacity, placeable));
  if (promised > 0) {
    text += fmt::format("; {} {} promised to others", CountText(promised, "slot"),
                        promised == 1 ? "is" : "are");
  }
  size_t named = 0;
  for (const auto& [why, nodes] : kept) {
    if (named++ == kReasonsNamed) return text + "; …";
    text += nodes.count > kNodesNamed ? fmt::format("; {} nodes {}", nodes.count, why)
                                      : fmt::format("; {} {}", FormatHostlist(nodes.names), why);
  }
  return text;
}

std::string WhyNeverFits(const v1::JobSpec& spec, const Inventory& inventory) {
  const Shape shape = ShapeOf(spec);
  const Gang gang{JobId(), &spec, &shape, true, nullptr};
  constexpr uint32_t kAllFree = kUsableRule | kSpareRule | kLentRule | kIdleRule | kHeldRule;
  const DomainTree& tree = inventory.tree();
  const NodeRules rules(gang, inventory, nullptr, kAllFree);
  const Capacity capacity = CapacityOf(shape, tree, rules.RoomByLeaf());
  const Shortage shortage = FindShortage(shape, capacity, true);
  const std::string outermost = spec.mesh_size() > 0 ? spec.mesh(0).name() : "size";
  const std::string where = LevelText(shortage.level);
  const std::string in = shortage.level == kNode ? "on" : "in";
  switch (shortage.kind) {
    case Shortage::kNothing:
      return "";
    case Shortage::kSlots:
      if (inventory.slots_total() >= shortage.needed) {
        return fmt::format(
            "needs {} slots, the nodes that placement and resources.device allow have {} of {}; "
            "lower mesh.{} or allow more nodes",
            shape.slots(), capacity.slots[kCluster][0], inventory.slots_total(), outermost);
      }
      return fmt::format("needs {} slots, the cluster has {}; lower mesh.{} or add nodes",
                         shape.slots(), inventory.slots_total(), outermost);
    case Shortage::kBlock:
      if (shape.slots() > inventory.slots_total()) {
        return fmt::format("needs {} slots, the cluster has {}; lower mesh.{} or add nodes",
                           shape.slots(), inventory.slots_total(), outermost);
      }
      if (shortage.axis.empty()) {
        return fmt::format(
            "a rank needs {} slots on one node, the largest node has {}; lower "
            "resources.slots_per_rank or add larger nodes",
            shortage.needed, shortage.there);
      }
      return fmt::format(
          "mesh.{} inside a {} needs {} slots {} one {}, the largest {} has {}; lower mesh.{} or "
          "{}",
          shortage.axis, where, shortage.needed, in, where, where, shortage.there, shortage.axis,
          shortage.axis == shape.spread_axis
              ? "spread across larger domains"
              : fmt::format("leave out its within: {}",
                            shortage.level == kSegment ? "nvlink" : where));
    case Shortage::kBlocks:
      return fmt::format(
          "needs {} groups of {} slots each {} one {}, the cluster can hold {}; lower mesh.{} or "
          "add nodes",
          shortage.needed, shortage.block, in, where, shortage.there, outermost);
    case Shortage::kDomains:
      return fmt::format(
          "mesh.{} spreads over {} with {} each, the cluster has {}; lower "
          "placement.spread.at_least or add nodes",
          shortage.axis, CountText(shortage.needed, where), CountText(shortage.block, "slot"),
          shortage.there);
    case Shortage::kSpreadTie:  // no way was found, which is no proof that there is none
      return "";
  }
  return "";
}

}  // namespace muster::coordinator::scheduler
