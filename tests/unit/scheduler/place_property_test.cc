// Placement over random small clusters and jobs, judged by a search through all placements.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "cluster_text.h"
#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/packing.h"
#include "coordinator/scheduler/previous.h"

namespace muster::coordinator::scheduler {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  std::string Pick(const std::vector<std::string>& words) {
    return words[Below(static_cast<uint32_t>(words.size()))];
  }
  std::mt19937_64& source() { return random_; }

 private:
  std::mt19937_64 random_;
};

std::vector<std::string> RandomNodes(Dice& dice) {
  std::vector<std::string> nodes;
  const uint32_t count = 1 + dice.Below(5);
  const bool pods = dice.OneIn(2), racks = !dice.OneIn(3), segments = dice.OneIn(2);
  for (uint32_t i = 1; i <= count; ++i) {
    const uint32_t slots = 1 + dice.Below(4);
    std::string node = "n" + std::to_string(i) + " slots=" + std::to_string(slots);
    const uint32_t rack = dice.Below(3);
    if (pods) node += " pod=p" + std::to_string(rack % 2);
    if (racks) node += " rack=r" + std::to_string(rack);
    if (segments) node += " nvlink=s" + std::to_string(rack) + dice.Pick({"a", "b"});
    std::string used;
    for (uint32_t slot = 0; slot < slots; ++slot) {
      if (dice.OneIn(5)) used += (used.empty() ? "" : ",") + std::to_string(slot);
    }
    if (!used.empty()) node += " used=" + used;
    if (dice.OneIn(8)) node += " down=drained";
    if (dice.OneIn(8)) node += " taint=lab";
    if (dice.OneIn(3)) node += " label=zone:a";
    if (dice.OneIn(8)) node += dice.Pick({" spare=7", " spare=7 lent", " spare=1"});
    node += dice.Pick({" kind=cpu", " kind=H100", " kind=H100", " kind=cpu,H100"});
    nodes.push_back(node);
  }
  return nodes;
}

std::string RandomJob(Dice& dice) {
  std::string job;
  const std::vector<std::string> names = {"a", "b", "c"};
  const uint32_t axes = 1 + dice.Below(3);
  for (uint32_t i = 0; i < axes; ++i) {
    job += (i == 0 ? "" : ",") + names[i] + ":" + std::to_string(1 + dice.Below(3)) +
           dice.Pick({"", "", "@node", "@nvlink", "@rack", "@pod"});
  }
  if (dice.OneIn(4)) job += " slots=2";
  if (dice.OneIn(5)) job += " exclusive";
  if (dice.OneIn(3)) {
    job += " spread=" + names[dice.Below(axes)] + dice.Pick({":node", ":nvlink", ":rack", ":pod"}) +
           dice.Pick({"", ":2"});
  }
  if (dice.OneIn(6)) job += " device=h100";
  if (dice.OneIn(8)) job += " select=zone:a";
  if (dice.OneIn(8)) job += " tolerate=lab";
  if (dice.OneIn(8)) job += " exclude=n[1-2]";
  if (dice.OneIn(5)) job += " spares=1";
  if (dice.OneIn(4)) job += " not_preemptible";
  return job;
}

// Whether any order of nodes with any runs of ranks keeps the shape.
bool SomeWay(const Shape& shape, const Inventory& cluster, const NodeRules& rules,
             std::vector<v1::NodeShare>& shares, uint32_t placed) {
  if (placed == shape.ranks) return KeepsShape(shape, cluster, shares);
  for (NodeIndex node = 0; node < cluster.size(); ++node) {
    const std::string& name = cluster.facts(node).name.value();
    const bool used = std::any_of(shares.begin(), shares.end(),
                                  [&](const v1::NodeShare& share) { return share.node() == name; });
    if (used) continue;
    const uint32_t most = std::min(rules.Room(node) / shape.slots_per_rank, shape.ranks - placed);
    for (uint32_t ranks = 1; ranks <= most; ++ranks) {
      v1::NodeShare& share = shares.emplace_back();
      share.set_node(name);
      share.set_first_rank(placed);
      share.set_ranks(ranks);
      for (uint32_t i = 0; i < ranks * shape.slots_per_rank; ++i) share.add_slots(i);
      const bool found = SomeWay(shape, cluster, rules, shares, placed + ranks);
      shares.pop_back();
      if (found) return true;
    }
  }
  return false;
}

// A spread inside larger blocks: the one case where a way may be missed.
bool MayMiss(const Shape& shape) {
  if (shape.spread_across == v1::DOMAIN_UNSPECIFIED) return false;
  const auto block = BlocksOf(shape);
  return block[kPod] > block[LevelOf(shape.spread_across)];
}

void CheckSlots(const AGang& asks, const Inventory& cluster, const Placed& placed) {
  std::set<NodeIndex> nodes;
  for (const v1::NodeShare& share : placed.shares) {
    const NodeIndex node = cluster.Find(NodeId(share.node()));
    ASSERT_TRUE(nodes.insert(node).second) << share.node() << " has two shares";
    ASSERT_TRUE(cluster.usable(node)) << share.node();
    ASSERT_EQ(share.slots_size(), static_cast<int>(share.ranks() * asks.shape.slots_per_rank));
    const std::set<uint32_t> slots(share.slots().begin(), share.slots().end());
    ASSERT_EQ(slots.size(), static_cast<size_t>(share.slots_size())) << "a slot twice";
    for (const uint32_t slot : slots) ASSERT_TRUE(cluster.is_free(node, slot)) << share.node();
    if (asks.shape.exclusive) {
      ASSERT_TRUE(cluster.idle(node)) << share.node();
    }
    const JobId owner = cluster.spare_for(node);
    if (owner != JobId() && owner != asks.gang.job) {
      ASSERT_TRUE(cluster.lent(node) && asks.gang.preemptible) << share.node();
    }
    const NodeFacts& facts = cluster.facts(node);
    if (!facts.taints.empty()) {
      ASSERT_EQ(asks.spec.placement().tolerate_size(), 1) << share.node();
    }
    if (asks.spec.placement().select_size() > 0) {
      ASSERT_FALSE(facts.labels.empty());
    }
    if (asks.spec.placement().exclude_size() > 0) {
      ASSERT_GT(facts.name.value(), "n2");
    }
    if (asks.spec.resources().device().empty()) continue;
    for (const uint32_t slot : slots) ASSERT_EQ(facts.devices[slot].kind(), "H100");
  }
  for (const NodeIndex spare : placed.spares) {
    ASSERT_TRUE(cluster.idle(spare) && cluster.usable(spare));
    ASSERT_TRUE(nodes.insert(spare).second) << "a spare inside the gang";
  }
}

// No domain could give a part to another one and the two be closer to even.
void CheckEven(const AGang& asks, const Inventory& cluster, const Placed& placed) {
  const Shape& shape = asks.shape;
  if (shape.spread_across == v1::DOMAIN_UNSPECIFIED || MayMiss(shape)) return;
  const Level across = LevelOf(shape.spread_across);
  // Lent spares are left alone as long as the gang fits beside them.
  const bool on_lent =
      std::any_of(placed.shares.begin(), placed.shares.end(), [&](const v1::NodeShare& share) {
        const JobId owner = cluster.spare_for(cluster.Find(NodeId(share.node())));
        return owner != JobId() && owner != asks.gang.job;
      });
  const NodeRules rules(asks.gang, cluster, nullptr, on_lent ? kLentRule : kNoRule);
  const DomainTree& tree = cluster.tree();
  const Capacity capacity = CapacityOf(shape, tree, rules.RoomByLeaf());
  std::vector<uint32_t> held(capacity.ranks[across].size());
  for (const v1::NodeShare& share : placed.shares) {
    uint32_t at = tree.leaf_of[cluster.Find(NodeId(share.node()))];
    if (across >= kSegment) at = tree.segment_of[at];
    if (across >= kRack) at = tree.rack_of[at];
    if (across >= kPod) at = tree.pod_of[at];
    held[at] += share.ranks();
  }
  const uint32_t unit = capacity.block[across];
  for (const uint32_t more : held) {
    for (size_t i = 0; i < held.size(); ++i) {
      const bool could_take = capacity.ranks[across][i] >= held[i] + unit;
      ASSERT_FALSE(could_take && more > held[i] + unit) << more << " beside " << held[i];
    }
  }
}

TEST(PlaceProperty, AllOrNoneByTheRulesWheneverThereIsAWay) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 0; seed < 6'000; ++seed) {
    Dice dice(seed);
    std::vector<std::string> nodes = RandomNodes(dice);
    const std::string job = RandomJob(dice);
    SCOPED_TRACE(testing::Message()
                 << "seed " << seed << ": " << job << " on " << testing::PrintToString(nodes));
    const Inventory cluster = Cluster(nodes);
    const AGang asks(job);
    const auto placed = Place(asks.gang, cluster, nullptr);
    const NodeRules rules(asks.gang, cluster, nullptr, kLentRule);
    std::vector<v1::NodeShare> none;
    const bool way = SomeWay(asks.shape, cluster, rules, none, 0);
    if (!MayMiss(asks.shape)) {
      ASSERT_EQ(placed.has_value(), way);
    }
    if (placed) {
      ASSERT_TRUE(way);
      ASSERT_TRUE(KeepsShape(asks.shape, cluster, placed->shares));
      CheckSlots(asks, cluster, *placed);
      CheckEven(asks, cluster, *placed);
      ASSERT_EQ(WhyNeverFits(asks.spec, cluster), "");
      ASSERT_TRUE(WhatWouldUnblock(asks.gang, cluster).empty());
    }
    ++seen[placed ? "placed" : way ? "missed" : "no way"];
    // The order in which nodes joined makes no difference.
    std::shuffle(nodes.begin(), nodes.end(), dice.source());
    const Inventory shuffled = Cluster(nodes);
    ASSERT_EQ(PlacedText(Place(asks.gang, shuffled, nullptr), shuffled),
              PlacedText(placed, cluster));
    if (HasFatalFailure()) return;
  }
  RecordProperty("missed", seen["missed"]);
  EXPECT_GT(seen["placed"], 1'500);
  EXPECT_GT(seen["no way"], 1'500);
  EXPECT_LT(seen["missed"], 10) << "spreads inside larger blocks";
}

TEST(PlaceProperty, NeverFitsMeansNotOnTheEmptyCluster) {
  int fits = 0, never = 0;
  for (uint64_t seed = 0; seed < 4'000; ++seed) {
    Dice dice(seed);
    const std::vector<std::string> nodes = RandomNodes(dice);
    const std::string job = RandomJob(dice);
    SCOPED_TRACE(testing::Message()
                 << "seed " << seed << ": " << job << " on " << testing::PrintToString(nodes));
    const AGang asks(job);
    const Inventory cluster = Cluster(nodes);
    Inventory empty;
    for (NodeIndex node = 0; node < cluster.size(); ++node) {
      empty.SetUsable(empty.Set(cluster.facts(node)), true, "");
    }
    const bool placed = Place(asks.gang, empty, nullptr).has_value();
    if (placed || !MayMiss(asks.shape)) {
      ASSERT_EQ(WhyNeverFits(asks.spec, cluster).empty(), placed);
    }
    ++(placed ? fits : never);
  }
  EXPECT_GT(fits, 500);
  EXPECT_GT(never, 500);
}

TEST(PlaceProperty, ANodeNamedAsTheWayOutIsOne) {
  int named = 0;
  for (uint64_t seed = 0; seed < 4'000; ++seed) {
    Dice dice(seed);
    const Inventory cluster = Cluster(RandomNodes(dice));
    const std::string job = RandomJob(dice);
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << job);
    const AGang asks(job);
    for (const std::string& line : WhatWouldUnblock(asks.gang, cluster)) {
      const size_t end = line.find(" back in service");
      if (end == std::string::npos || line.find_first_of("[,") != std::string::npos) continue;
      for (size_t start = 0; start < end;) {
        const size_t stop = std::min(line.find(" or ", start), end);
        const NodeIndex node = cluster.Find(NodeId(line.substr(start, stop - start)));
        ASSERT_NE(node, Inventory::kNone) << line;
        Inventory back = cluster;
        back.SetUsable(node, true, "");
        ASSERT_TRUE(Place(asks.gang, back, nullptr).has_value()) << line;
        ++named;
        start = stop == end ? end : stop + 4;
      }
    }
  }
  EXPECT_GT(named, 100);
}

TEST(PlaceProperty, ComesBackExactlyWhenItsSlotsAreFreeAndKeepsWhatItCan) {
  int back = 0, replaced = 0;
  for (uint64_t seed = 0; seed < 8'000; ++seed) {
    Dice dice(seed);
    const std::string job = RandomJob(dice);
    Inventory cluster = Cluster(RandomNodes(dice));
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << job);
    AGang asks(job);
    const auto first = Place(asks.gang, cluster, nullptr);
    if (!first) continue;
    asks.WasOn(first->shares);
    const auto second = Place(asks.gang, cluster, nullptr);
    ASSERT_EQ(PlacedText(second, cluster), PlacedText(first, cluster));
    ++back;
    if (first->shares.size() < 2) continue;
    const v1::NodeShare& lost =
        first->shares[dice.Below(static_cast<uint32_t>(first->shares.size()))];
    cluster.SetUsable(cluster.Find(NodeId(lost.node())), false, "dead");
    const auto third = Place(asks.gang, cluster, nullptr);
    if (!third) continue;
    ASSERT_TRUE(KeepsShape(asks.shape, cluster, third->shares));
    CheckSlots(asks, cluster, *third);
    if (HasFatalFailure()) return;
    ++replaced;
  }
  EXPECT_GT(back, 800);
  EXPECT_GT(replaced, 80);
}

// Random jobs come and go: what is held is what was placed, never twice (Take CHECKs).
TEST(PlaceProperty, NeverOverAllocatesWhileJobsComeAndGo) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Inventory cluster = Cluster(RandomNodes(dice));
    const Inventory before = cluster;
    struct Running {
      std::vector<v1::NodeShare> shares;
      bool exclusive;
    };
    std::map<JobId, Running> running;
    for (uint64_t id = 100; id < 200; ++id) {
      if (!running.empty() && dice.OneIn(2)) {
        const auto done =
            std::next(running.begin(), dice.Below(static_cast<uint32_t>(running.size())));
        for (const auto& share : done->second.shares) {
          cluster.Free(share, done->first, done->second.exclusive);
        }
        running.erase(done);
        continue;
      }
      const AGang asks(RandomJob(dice), JobId(id));
      const auto placed = Place(asks.gang, cluster, nullptr);
      if (!placed) continue;
      for (const auto& share : placed->shares) {
        cluster.Take(share, JobId(id), asks.shape.exclusive);
      }
      running[JobId(id)] = {placed->shares, asks.shape.exclusive};
    }
    for (const auto& [job, held] : running) {
      for (const auto& share : held.shares) cluster.Free(share, job, held.exclusive);
    }
    for (NodeIndex node = 0; node < cluster.size(); ++node) {
      ASSERT_EQ(cluster.FreeSlots(node), before.FreeSlots(node));
    }
  }
}

}  // namespace
}  // namespace muster::coordinator::scheduler
