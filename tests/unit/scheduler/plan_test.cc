#include "coordinator/scheduler/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "coordinator/scheduler/gang.h"

namespace muster::coordinator::scheduler {
namespace {

using testing::HasSubstr;

v1::JobSpec Spec(std::vector<std::pair<std::string, uint32_t>> axes, uint32_t slots = 1,
                 const std::string& within = "") {
  v1::JobSpec spec;
  for (const auto& [name, size] : axes) {
    v1::Axis* axis = spec.add_mesh();
    axis->set_name(name);
    axis->set_size(size);
    if (name == within) axis->set_within(v1::DOMAIN_NODE);
  }
  spec.mutable_resources()->set_slots_per_rank(slots);
  return spec;
}

FreeNode Open(const std::string& name, uint32_t slots, std::vector<uint32_t> free) {
  return {NodeId(name), true, "", slots, std::move(free)};
}

// "n1:0,1 n2:0": the node and slots of each rank, in rank order.
std::string Text(const std::vector<v1::NodeShare>& shares) {
  std::string text;
  for (const v1::NodeShare& share : shares) {
    const int each = share.slots_size() / static_cast<int>(share.ranks());
    for (int i = 0; i < share.slots_size(); ++i) {
      if (i % each == 0) text += (text.empty() ? "" : " ") + share.node() + ":";
      text += (i % each == 0 ? "" : ",") + std::to_string(share.slots(i));
    }
  }
  return text;
}

struct PlaceCase {
  std::string name;
  v1::JobSpec spec;
  std::vector<FreeNode> nodes;
  std::string placed;   // empty = waits
  std::string waiting;  // part of the reason
};

TEST(Plan, PlacesOneGang) {
  const std::vector<PlaceCase> cases = {
      {"one node holds all", Spec({{"data", 2}}), {Open("n1", 2, {0, 1})}, "n1:0 n1:1", ""},
      {"the tightest node that holds all wins",
       Spec({{"data", 2}}),
       {Open("n1", 4, {0, 1, 2, 3}), Open("n2", 2, {0, 1})},
       "n2:0 n2:1",
       ""},
      {"fewest nodes, largest first",
       Spec({{"data", 5}}),
       {Open("n1", 1, {0}), Open("n2", 3, {0, 1, 2}), Open("n3", 2, {4, 5})},
       "n2:0 n2:1 n2:2 n3:4 n3:5",
       ""},
      {"names sort as people count",
       Spec({{"data", 2}}),
       {Open("n10", 1, {0}), Open("n2", 1, {0})},
       "n2:0 n10:0",
       ""},
      {"a rank's slots lie on one node",
       Spec({{"data", 2}}, 2),
       {Open("n1", 3, {0, 1, 2}), Open("n2", 3, {0, 1, 2})},
       "n1:0,1 n2:0,1",
       ""},
      {"a rank's slots are never split",
       Spec({{"data", 1}}, 2),
       {Open("n1", 1, {0}), Open("n2", 1, {0})},
       "",
       "2 free on 2 of 2 nodes, at most 1 on one"},
      {"tensor inside a node",
       Spec({{"data", 2}, {"tensor", 2}}, 1, "tensor"),
       {Open("n1", 3, {0, 1, 2}), Open("n2", 2, {0, 1})},
       "n1:0 n1:1 n2:0 n2:1",
       ""},
      {"tensor inside a node, which none has",
       Spec({{"tensor", 3}}, 1, "tensor"),
       {Open("n1", 2, {0, 1}), Open("n2", 2, {0, 1})},
       "",
       "tensor needs 3 on one node and the emptiest has 2"},
      {"an outer axis inside a node takes the inner ones along",
       Spec({{"data", 2}, {"tensor", 2}}, 1, "data"),
       {Open("n1", 3, {0, 1, 2}), Open("n2", 4, {0, 1, 2, 3})},
       "n2:0 n2:1 n2:2 n2:3",
       ""},
      {"all or none",
       Spec({{"data", 4}}),
       {Open("n1", 2, {0, 1}), Open("n2", 1, {0})},
       "",
       "waiting: 4 ranks × 1 slot, 3 free on 2 of 2 nodes"},
      {"only usable nodes, with the reason",
       Spec({{"data", 2}}),
       {Open("n1", 2, {1}), {NodeId("n2"), false, "drained (lemon)", 2, {0, 1}}},
       "",
       "waiting: 2 ranks × 1 slot, 1 free on 1 of 2 nodes; n2 drained (lemon)"},
      {"no nodes at all", Spec({{"data", 2}}), {}, "", "no node has joined"},
  };
  for (const PlaceCase& item : cases) {
    Snapshot snapshot;
    snapshot.nodes = item.nodes;
    snapshot.queue.push_back({JobId(1), &item.spec, nullptr, 0, ""});
    const Plan plan = MakePlan(snapshot);
    if (item.placed.empty()) {
      ASSERT_TRUE(plan.head.has_value()) << item.name;
      EXPECT_THAT(plan.head->reason, HasSubstr(item.waiting)) << item.name;
    } else {
      ASSERT_EQ(plan.placements.size(), 1u) << item.name;
      EXPECT_EQ(Text(plan.placements[0].shares), item.placed) << item.name;
    }
  }
}

TEST(Plan, TheHeadBlocksThoseBehindIt) {
  const v1::JobSpec small = Spec({{"data", 1}}), large = Spec({{"data", 4}});
  Snapshot snapshot;
  snapshot.nodes = {Open("n1", 3, {0, 1, 2})};
  for (const auto* spec : {&small, &large, &small}) {
    snapshot.queue.push_back({JobId(snapshot.queue.size() + 1), spec, nullptr, 0, ""});
  }
  const Plan plan = MakePlan(snapshot);
  ASSERT_EQ(plan.placements.size(), 1u);
  EXPECT_EQ(plan.placements[0].job, JobId(1));
  ASSERT_TRUE(plan.head.has_value());
  EXPECT_EQ(plan.head->job, JobId(2));
}

TEST(Plan, TakesThePreviousSlotsWhenFree) {
  const v1::JobSpec spec = Spec({{"data", 2}});
  google::protobuf::RepeatedPtrField<v1::NodeShare> previous;
  v1::NodeShare* placed = previous.Add();
  placed->set_node("n2");
  placed->set_ranks(2);
  placed->add_slots(1);
  placed->add_slots(2);
  Snapshot snapshot;
  snapshot.nodes = {Open("n1", 2, {0, 1}), Open("n2", 3, {0, 1, 2})};
  snapshot.queue.push_back({JobId(1), &spec, &previous, 4, ""});
  EXPECT_EQ(Text(MakePlan(snapshot).placements.at(0).shares), "n2:1 n2:2");
  EXPECT_EQ(MakePlan(snapshot).placements.at(0).reason,
            "2 ranks on n2 (0-1): same nodes as attempt 4");
  snapshot.nodes[1].usable = false;
  EXPECT_EQ(MakePlan(snapshot).placements.at(0).reason, "2 ranks on n1 (0-1): n1 replaces n2");
}

TEST(Plan, NeverFitsSaysWhatToDo) {
  EXPECT_EQ(WhyNeverFits(Spec({{"data", 8}}), {4, 4}), "");
  EXPECT_EQ(WhyNeverFits(Spec({{"data", 8}}, 2), {4, 4}),
            "needs 16 slots, the cluster has 8; lower mesh.data or add nodes");
  EXPECT_THAT(WhyNeverFits(Spec({{"data", 1}, {"tensor", 8}}, 1, "tensor"), {4, 4}),
              HasSubstr("lower mesh.tensor"));
  EXPECT_THAT(WhyNeverFits(Spec({{"data", 2}}, 3), {5, 1}), HasSubstr("the cluster can hold 1"));
}

// Whatever the cluster and the queue look like: no slot twice, none that was not free, gangs whole,
// blocks on one node, queue order kept.
TEST(Plan, NeverOverallocatesProperty) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t n) { return static_cast<uint32_t>(random() % n); };
    Snapshot snapshot;
    std::set<std::pair<std::string, uint32_t>> free;
    for (uint32_t n = below(6); n > 0; --n) {
      FreeNode node = Open("n" + std::to_string(n), 8, {});
      node.usable = below(4) > 0;
      for (uint32_t slot = 0; slot < 8; ++slot) {
        if (below(3) == 0) continue;
        node.free_slots.push_back(slot);
        if (node.usable) free.emplace(node.name.value(), slot);
      }
      snapshot.nodes.push_back(node);
    }
    std::vector<v1::JobSpec> specs;
    for (uint32_t j = below(5); j > 0; --j) {
      specs.push_back(Spec({{"data", below(3) + 1}, {"tensor", below(3) + 1}}, below(3) + 1,
                           below(2) == 0 ? "tensor" : ""));
    }
    for (const v1::JobSpec& spec : specs) {
      snapshot.queue.push_back({JobId(snapshot.queue.size() + 1), &spec, nullptr, 0, ""});
    }
    const Plan plan = MakePlan(snapshot);
    ASSERT_EQ(plan.placements.size() + (plan.head ? 1 : 0) > 0, !specs.empty()) << "seed " << seed;
    for (size_t i = 0; i < plan.placements.size(); ++i) {
      ASSERT_EQ(plan.placements[i].job, JobId(i + 1)) << "seed " << seed;
      const GangShape shape = GangShapeOf(specs[i]);
      uint32_t ranks = 0;
      for (const v1::NodeShare& share : plan.placements[i].shares) {
        ASSERT_EQ(share.first_rank(), ranks) << "seed " << seed;
        ASSERT_EQ(share.ranks() % shape.block_ranks, 0u) << "seed " << seed;
        ASSERT_EQ(static_cast<uint32_t>(share.slots_size()), share.ranks() * shape.slots_per_rank);
        for (const uint32_t slot : share.slots()) {
          ASSERT_EQ(free.erase({share.node(), slot}), 1u) << "seed " << seed;
        }
        ranks += share.ranks();
      }
      ASSERT_EQ(ranks, shape.ranks) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace muster::coordinator::scheduler
