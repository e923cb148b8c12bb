#include "coordinator/scheduler/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/check.h"
#include "common/hostlist.h"
#include "coordinator/scheduler/gang.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr size_t kNodesNamed = 8;  // more are folded into one host list
constexpr size_t kReasonsNamed = 4;

std::string Count(uint64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// "n1 (0-1), n2 (2-3)" or "1875 nodes n[1-1875]".
std::string WhereText(const std::vector<v1::NodeShare>& shares) {
  if (shares.size() > kNodesNamed) {
    std::vector<std::string> names;
    names.reserve(shares.size());
    for (const v1::NodeShare& share : shares) names.push_back(share.node());
    return fmt::format("{} nodes {}", shares.size(), FormatHostlist(std::move(names)));
  }
  std::string text;
  for (const v1::NodeShare& share : shares) {
    const uint32_t last = share.first_rank() + share.ranks() - 1;
    text += fmt::format("{}{} ({}", text.empty() ? "" : ", ", share.node(), share.first_rank());
    text += share.ranks() > 1 ? fmt::format("-{})", last) : ")";
  }
  return text;
}

// Why these nodes, compared with the attempt before: "same nodes as attempt 1", "n3 replaces n2".
std::string ChangeText(const Ask& ask, const std::vector<v1::NodeShare>& shares) {
  if (ask.previous == nullptr) return "";
  std::set<std::string> before, after;
  for (const v1::NodeShare& share : *ask.previous) before.insert(share.node());
  for (const v1::NodeShare& share : shares) after.insert(share.node());
  if (before == after) return fmt::format(": same nodes as attempt {}", ask.previous_attempt);
  std::vector<std::string> gone, come;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(gone));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(come));
  if (come.empty()) return fmt::format(": without {}", FormatHostlist(gone));
  if (gone.empty()) return fmt::format(": with {}", FormatHostlist(come));
  return fmt::format(": {} {} {}", FormatHostlist(come), come.size() == 1 ? "replaces" : "replace",
                     FormatHostlist(gone));
}

std::string WaitingText(const GangShape& shape, const std::vector<FreeNode>& nodes) {
  std::string text = fmt::format("waiting: {} × {}", Count(shape.ranks, "rank"),
                                 Count(shape.slots_per_rank, "slot"));
  if (nodes.empty()) return text + ", no node has joined";
  uint64_t free = 0, with_room = 0, largest = 0;
  std::map<std::string, std::vector<std::string>> unusable;  // why → names
  for (const FreeNode& node : nodes) {
    if (!node.usable) {
      unusable[node.why_not].push_back(node.name.value());
      continue;
    }
    free += node.free_slots.size();
    with_room += node.free_slots.empty() ? 0 : 1;
    largest = std::max<uint64_t>(largest, node.free_slots.size());
  }
  text += fmt::format(", {} free on {} of {}", free, with_room, Count(nodes.size(), "node"));
  if (shape.block_slots() > 1 && free > 0) {
    if (shape.block_axis.empty()) {
      text += fmt::format(", at most {} on one", largest);
    } else {
      text += fmt::format(", {} needs {} on one node and the emptiest has {}", shape.block_axis,
                          shape.block_slots(), largest);
    }
  }
  size_t named = 0;
  for (const auto& [why, names] : unusable) {
    if (named++ == kReasonsNamed) return text + "; …";
    text += fmt::format("; {} {}", FormatHostlist(names), why);
  }
  return text;
}

void Take(const std::vector<v1::NodeShare>& shares, std::vector<FreeNode>& nodes) {
  std::map<std::string, std::set<uint32_t>> taken;
  for (const v1::NodeShare& share : shares) {
    taken[share.node()].insert(share.slots().begin(), share.slots().end());
  }
  for (FreeNode& node : nodes) {
    const auto found = taken.find(node.name.value());
    if (found == taken.end()) continue;
    std::erase_if(node.free_slots, [&](uint32_t slot) { return found->second.count(slot) > 0; });
  }
}

}  // namespace

std::string BehindText(JobId head) { return fmt::format("waiting: behind job {}", head.value()); }

Plan MakePlan(Snapshot snapshot) {
  Plan plan;
  for (const Ask& ask : snapshot.queue) {
    CHECK(ask.spec != nullptr, "job {} asks without a spec", ask.job.value());
    if (!ask.hold.empty()) {
      plan.head = Waiting{ask.job, ask.hold};
      return plan;
    }
    const GangShape shape = GangShapeOf(*ask.spec);
    auto shares = PlaceAsBefore(ask, shape, snapshot.nodes);
    if (!shares) shares = PlacePacked(ask, shape, snapshot.nodes);
    if (!shares) {
      plan.head = Waiting{ask.job, WaitingText(shape, snapshot.nodes)};
      return plan;
    }
    Take(*shares, snapshot.nodes);
    std::string reason = fmt::format("{} on {}{}", Count(shape.ranks, "rank"), WhereText(*shares),
                                     ChangeText(ask, *shares));
    plan.placements.push_back({ask.job, std::move(*shares), std::move(reason)});
  }
  return plan;
}

std::string WhyNeverFits(const v1::JobSpec& spec, const std::vector<uint32_t>& node_slots) {
  const GangShape shape = GangShapeOf(spec);
  uint64_t slots = 0, blocks = 0, largest = 0;
  for (const uint32_t count : node_slots) {
    slots += count;
    blocks += count / shape.block_slots();
    largest = std::max<uint64_t>(largest, count);
  }
  if (blocks >= shape.blocks()) return "";
  const uint64_t needed = uint64_t{shape.ranks} * shape.slots_per_rank;
  const std::string outermost = spec.mesh_size() > 0 ? spec.mesh(0).name() : "size";
  if (needed > slots) {
    return fmt::format("needs {} slots, the cluster has {}; lower mesh.{} or add nodes", needed,
                       slots, outermost);
  }
  if (shape.block_slots() > largest) {
    if (shape.block_axis.empty()) {
      return fmt::format(
          "a rank needs {} slots on one node, the largest node has {}; lower "
          "resources.slots_per_rank or add larger nodes",
          shape.block_slots(), largest);
    }
    return fmt::format(
        "mesh.{} inside a node needs {} slots on one node, the largest node has {}; lower mesh.{} "
        "or leave out its within: node",
        shape.block_axis, shape.block_slots(), largest, shape.block_axis);
  }
  return fmt::format(
      "needs {} groups of {} slots each on one node, the cluster can hold {}; lower mesh.{} or add "
      "nodes",
      shape.blocks(), shape.block_slots(), blocks, outermost);
}

}  // namespace muster::coordinator::scheduler
