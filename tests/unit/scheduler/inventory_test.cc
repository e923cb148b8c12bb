#include "coordinator/scheduler/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "coordinator/scheduler/domain_tree.h"

namespace muster::coordinator::scheduler {
namespace {

using testing::ElementsAre;

NodeFacts Facts(const std::string& name, uint32_t slots, const std::string& rack = "",
                const std::string& pod = "", const std::string& nvlink = "") {
  NodeFacts facts;
  facts.name = NodeId(name);
  facts.slots = slots;
  facts.location.set_rack(rack);
  facts.location.set_pod(pod);
  facts.location.set_nvlink(nvlink);
  return facts;
}

v1::NodeShare Share(const std::string& node, std::vector<uint32_t> slots) {
  v1::NodeShare share;
  share.set_node(node);
  share.set_ranks(static_cast<uint32_t>(slots.size()));
  for (const uint32_t slot : slots) share.add_slots(slot);
  return share;
}

std::vector<std::string> NamesInOrder(const Inventory& inventory) {
  std::vector<std::string> names;
  for (const NodeIndex node : inventory.tree().order) {
    names.push_back(inventory.facts(node).name.value());
  }
  return names;
}

TEST(Inventory, CountsWhatIsFree) {
  Inventory inventory;
  const NodeIndex n1 = inventory.Set(Facts("n1", 4));
  EXPECT_FALSE(inventory.usable(n1));
  EXPECT_EQ(inventory.slots_usable(), 0u);
  inventory.SetUsable(n1, true, "");
  inventory.Take(Share("n1", {1, 3}), JobId(7), false);
  EXPECT_EQ(inventory.free_slots(n1), 2u);
  EXPECT_THAT(inventory.FreeSlots(n1), ElementsAre(0, 2));
  EXPECT_EQ(inventory.holder(n1, 3), JobId(7));
  EXPECT_FALSE(inventory.idle(n1));
  inventory.Free(n1, 3, JobId(7));
  inventory.Free(n1, 1, JobId(7));
  EXPECT_TRUE(inventory.idle(n1));
  EXPECT_EQ(inventory.slots_usable(), 4u);
}

TEST(Inventory, AnExclusiveJobHoldsTheWholeNode) {
  Inventory inventory;
  const NodeIndex n1 = inventory.Set(Facts("n1", 4));
  inventory.Take(Share("n1", {0}), JobId(7), true);
  EXPECT_EQ(inventory.free_slots(n1), 0u);
  EXPECT_EQ(inventory.holder(n1, 3), JobId(7));
  inventory.Set(Facts("n1", 6));
  EXPECT_EQ(inventory.free_slots(n1), 0u) << "slots that come later are held, too";
  inventory.Free(Share("n1", {0}), JobId(7), true);
  EXPECT_EQ(inventory.free_slots(n1), 6u);
}

TEST(Inventory, SlotsOfANodeThatShrankStayHeld) {
  Inventory inventory;
  const NodeIndex n1 = inventory.Set(Facts("n1", 4));
  const NodeIndex n2 = inventory.Set(Facts("n2", 2));
  inventory.Take(Share("n1", {2, 3}), JobId(7), false);
  inventory.Take(Share("n2", {1}), JobId(8), false);
  inventory.Set(Facts("n1", 2));
  EXPECT_EQ(inventory.free_slots(n1), 2u);
  EXPECT_FALSE(inventory.idle(n1));
  inventory.Set(Facts("n1", 8));
  EXPECT_THAT(inventory.FreeSlots(n1), ElementsAre(0, 1, 4, 5, 6, 7));
  EXPECT_THAT(inventory.FreeSlots(n2), ElementsAre(0));
  inventory.Free(Share("n1", {2, 3}), JobId(7), false);
  EXPECT_TRUE(inventory.idle(n1));
  EXPECT_EQ(inventory.holder(n2, 1), JobId(8));
}

TEST(Inventory, DomainsWithoutANameAreWhatTheyContain) {
  Inventory inventory;
  const NodeIndex a = inventory.Set(Facts("a", 1));
  const NodeIndex b = inventory.Set(Facts("b", 1, "r1"));
  const NodeIndex c = inventory.Set(Facts("c", 1, "r1"));
  EXPECT_NE(inventory.domain(b, v1::DOMAIN_NVLINK), inventory.domain(c, v1::DOMAIN_NVLINK));
  EXPECT_EQ(inventory.domain(b, v1::DOMAIN_RACK), inventory.domain(c, v1::DOMAIN_RACK));
  EXPECT_EQ(inventory.domain(b, v1::DOMAIN_POD), inventory.domain(c, v1::DOMAIN_POD));
  EXPECT_NE(inventory.domain(a, v1::DOMAIN_POD), inventory.domain(c, v1::DOMAIN_POD));
  EXPECT_EQ(inventory.domain_name(inventory.domain(c, v1::DOMAIN_POD), v1::DOMAIN_POD), "r1");
  EXPECT_EQ(inventory.domain_name(inventory.domain(a, v1::DOMAIN_RACK), v1::DOMAIN_RACK), "a");
}

TEST(Inventory, NodesStandInTheOrderOfTheirDomains) {
  Inventory inventory;
  for (const auto& [name, rack] : std::vector<std::pair<std::string, std::string>>{
           {"n10", "r2"}, {"n2", "r10"}, {"n1", "r10"}, {"n3", "r2"}}) {
    inventory.Set(Facts(name, 1, rack, "p1"));
  }
  EXPECT_THAT(NamesInOrder(inventory), ElementsAre("n3", "n10", "n1", "n2"));
  EXPECT_THAT(inventory.tree().rack_begin, ElementsAre(0, 2, 4));
  EXPECT_THAT(inventory.tree().pod_begin, ElementsAre(0, 2));
  inventory.Set(Facts("n3", 1, "r11", "p1"));
  EXPECT_THAT(NamesInOrder(inventory), ElementsAre("n10", "n1", "n2", "n3"));
}

TEST(Inventory, ACopyIsItsOwn) {
  Inventory inventory;
  const NodeIndex n1 = inventory.Set(Facts("n1", 2));
  Inventory copy = inventory;
  copy.Take(n1, 0, JobId(1));
  copy.Set(Facts("n1", 3, "r1"));
  copy.Set(Facts("n2", 3));
  EXPECT_EQ(inventory.free_slots(n1), 2u);
  EXPECT_EQ(inventory.size(), 1u);
  EXPECT_EQ(inventory.facts(n1).location.rack(), "");
  EXPECT_EQ(inventory.Find(NodeId("n2")), Inventory::kNone);
  EXPECT_THAT(NamesInOrder(copy), ElementsAre("n2", "n1"));
}

TEST(Inventory, RoomRevisionGrowsWithRoom) {
  Inventory inventory;
  const NodeIndex n1 = inventory.Set(Facts("n1", 2));
  uint64_t before = inventory.room_revision();
  const auto grew = [&] {
    return inventory.room_revision() > std::exchange(before, inventory.room_revision());
  };
  inventory.SetUsable(n1, true, "");
  EXPECT_TRUE(grew());
  inventory.SetUsable(n1, true, "");
  inventory.Set(Facts("n1", 2));
  inventory.Take(n1, 0, JobId(1));
  EXPECT_FALSE(grew());
  inventory.Free(n1, 0, JobId(1));
  EXPECT_TRUE(grew());
  inventory.SetUsable(n1, false, "dead");
  EXPECT_FALSE(grew());
  EXPECT_EQ(inventory.why_not(n1), "dead");
  inventory.SetSpare(n1, JobId(3), false);
  EXPECT_TRUE(grew());
}

// Against a plain map of who holds what, over random changes of everything.
TEST(Inventory, AgreesWithAPlainMap) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](uint64_t bound) { return static_cast<uint32_t>(random() % bound); };
    Inventory inventory;
    std::map<std::pair<NodeIndex, uint32_t>, JobId> held;
    std::map<NodeIndex, uint32_t> slots;
    std::map<NodeIndex, bool> usable;
    for (int step = 0; step < 200; ++step) {
      const uint32_t what = pick(10);
      if (what == 0 || slots.empty()) {
        const uint32_t count = pick(9);
        slots[inventory.Set(Facts("n" + std::to_string(pick(6)), count))] = count;
        continue;
      }
      const NodeIndex node = pick(inventory.size());
      if (what == 1) {
        usable[node] = pick(2) == 0;
        inventory.SetUsable(node, usable[node], usable[node] ? "" : "down");
      } else if (what < 7) {
        const uint32_t slot = pick(9);
        if (held.count({node, slot}) > 0) continue;
        held[{node, slot}] = JobId(1 + pick(5));
        inventory.Take(node, slot, held[{node, slot}]);
      } else if (!held.empty()) {
        const auto found = std::next(held.begin(), pick(held.size()));
        inventory.Free(found->first.first, found->first.second, found->second);
        held.erase(found);
      }
      uint64_t slots_usable = 0;
      for (const auto& [index, count] : slots) {
        std::vector<uint32_t> free;
        bool idle = true;
        for (uint32_t slot = 0; slot < 9; ++slot) {
          const bool taken = held.count({index, slot}) > 0;
          ASSERT_EQ(inventory.holder(index, slot) != JobId(), taken);
          if (taken) idle = false;
          if (!taken && slot < count) free.push_back(slot);
        }
        ASSERT_EQ(inventory.FreeSlots(index), free);
        ASSERT_EQ(inventory.free_slots(index), free.size());
        ASSERT_EQ(inventory.idle(index), idle);
        if (usable[index]) slots_usable += count;
      }
      ASSERT_EQ(inventory.slots_usable(), slots_usable);
    }
  }
}

}  // namespace
}  // namespace muster::coordinator::scheduler
