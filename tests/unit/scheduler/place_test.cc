#include "coordinator/scheduler/place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster_text.h"

namespace muster::coordinator::scheduler {
namespace {

using Nodes = std::vector<std::string>;

struct Case {
  std::string name;
  Nodes nodes;
  std::string job;
  std::string placed;
};

void Expect(const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    const Inventory cluster = Cluster(item.nodes);
    const AGang asks(item.job);
    EXPECT_EQ(PlacedText(Place(asks.gang, cluster, nullptr), cluster), item.placed) << item.name;
  }
}

// Two pods of two racks of two nodes with two slots.
Nodes Small(const std::string& more = "") {
  return {"n1 slots=2 rack=r1 pod=p1" + more, "n2 slots=2 rack=r1 pod=p1" + more,
          "n3 slots=2 rack=r2 pod=p1" + more, "n4 slots=2 rack=r2 pod=p1" + more,
          "n5 slots=2 rack=r3 pod=p2" + more, "n6 slots=2 rack=r3 pod=p2" + more,
          "n7 slots=2 rack=r4 pod=p2" + more, "n8 slots=2 rack=r4 pod=p2" + more};
}

Nodes With(Nodes nodes, const std::vector<std::pair<size_t, std::string>>& changes) {
  for (const auto& [number, words] : changes) nodes.at(number - 1) += " " + words;
  return nodes;
}

TEST(Place, PacksTightly) {
  Expect({
      {"one node holds all", {"n1 slots=2"}, "data:2", "n1:0,1"},
      {"the tightest node wins", {"n1 slots=4", "n2 slots=2"}, "data:2", "n2:0,1"},
      {"fewest nodes, the largest first; ranks in the order of names",
       {"n1 slots=1", "n2 slots=3", "n3 slots=6 used=0,1,2,3"},
       "data:5",
       "n2:0,1,2 n3:4,5"},
      {"names sort as people count", {"n10 slots=1", "n2 slots=1"}, "data:2", "n2:0 n10:0"},
      {"a rank's slots lie on one node",
       {"n1 slots=3", "n2 slots=3"},
       "data:2 slots=2",
       "n1:0,1 n2:0,1"},
      {"a rank's slots are never split", {"n1 slots=1", "n2 slots=1"}, "data:1 slots=2", "-"},
      {"all or none", {"n1 slots=2", "n2 slots=1"}, "data:4", "-"},
      {"only usable nodes", {"n1 slots=2 used=0", "n2 slots=2 down=drained"}, "data:2", "-"},
      {"a gang that fits a rack stays in one", Small(), "data:4", "n1:0,1 n2:0,1"},
      {"the tightest rack of the tightest pod", With(Small(), {{5, "used=0"}}), "data:2", "n6:0,1"},
      {"a hole of the right size before a whole node", With(Small(), {{7, "used=1"}}), "data:1",
       "n7:0"},
      {"a gang that fits a pod stays in one", With(Small(), {{1, "used=0"}}), "data:8",
       "n5:0,1 n6:0,1 n7:0,1 n8:0,1"},
      {"beyond a pod: the largest first, the rest where it is tight",
       With(Small(), {{1, "used=0"}, {2, "used=0"}, {3, "used=0"}}), "data:9",
       "n1:1 n5:0,1 n6:0,1 n7:0,1 n8:0,1"},
  });
}

TEST(Place, KeepsBlocksInTheirDomain) {
  Expect({
      {"within node", {"n1 slots=3", "n2 slots=2"}, "data:2,tensor:2@node", "n1:0,1 n2:0,1"},
      {"within node, which none has", {"n1 slots=2", "n2 slots=2"}, "tensor:3@node", "-"},
      {"an outer axis takes the inner ones along",
       {"n1 slots=3", "n2 slots=4"},
       "data:2@node,tensor:2",
       "n2:0,1,2,3"},
      {"within nvlink",
       {"n1 slots=2 nvlink=s1", "n2 slots=2 nvlink=s1 used=0", "n3 slots=2 nvlink=s2",
        "n4 slots=2 nvlink=s2"},
       "tensor:4@nvlink",
       "n3:0,1 n4:0,1"},
      {"within rack, though a pod has room",
       With(Small(), {{1, "used=0"}, {3, "used=0"}, {5, "used=0"}, {7, "used=0"}}), "data:4@rack",
       "-"},
      {"two groups within racks skip the rack with a gap", With(Small(), {{2, "used=0"}}),
       "data:2,tensor:4@rack", "n5:0,1 n6:0,1 n7:0,1 n8:0,1"},
      {"nested: pipeline within pod, tensor within node",
       With(Small(), {{1, "used=0"}, {8, "used=1"}}), "pipe:3@pod,tensor:2@node",
       "n2:0,1 n3:0,1 n4:0,1"},
      {"a node without a rack is a rack",
       {"n1 slots=2", "n2 slots=2", "n3 slots=4"},
       "data:4@rack",
       "n3:0,1,2,3"},
      {"racks without a pod are pods of their own",
       {"n1 slots=2 rack=r1", "n2 slots=2 rack=r1", "n3 slots=2 rack=r2"},
       "data:4@pod",
       "n1:0,1 n2:0,1"},
  });
}

TEST(Place, ObeysTheRulesAboutNodes) {
  const Nodes kinds = {"n1 slots=2 kind=H100-SXM label=zone:a", "n2 slots=2 kind=A100 label=zone:b",
                       "n3 slots=2 kind=h100 taint=lab"};
  Expect({
      {"selected by label", kinds, "data:2 select=zone:b", "n2:0,1"},
      {"no node carries the label", kinds, "data:1 select=zone:c", "-"},
      {"excluded by host list", kinds, "data:2 exclude=n[1,3]", "n2:0,1"},
      {"a taint keeps jobs off", kinds, "data:4", "n1:0,1 n2:0,1"},
      {"unless they tolerate it", kinds, "data:6 tolerate=lab", "n1:0,1 n2:0,1 n3:0,1"},
      {"a device by part of its name, in any case", kinds, "data:2 device=h100 exclude=n3",
       "n1:0,1"},
      {"no node has the device", kinds, "data:1 device=B200", "-"},
      {"only the slots with the device",
       {"n1 slots=4 kind=cpu,H100"},
       "data:2 device=H100",
       "n1:1,3"},
      {"nor more than these", {"n1 slots=4 kind=cpu,H100"}, "data:3 device=H100", "-"},
      {"exclusive takes idle nodes only",
       {"n1 slots=4 used=3", "n2 slots=4"},
       "data:2 exclusive",
       "n2:0,1"},
      {"nobody joins an exclusive job", {"n1 slots=4 exclusive_by=5"}, "data:1", "-"},
  });
}

TEST(Place, Spreads) {
  Expect({
      {"parts lie on as many racks as they can", Small(), "data:4 spread=data:rack",
       "n1:0 n3:0 n5:0 n7:0"},
      {"evenly", Small(), "data:6,tensor:2@node spread=data:rack",
       "n1:0,1 n2:0,1 n3:0,1 n4:0,1 n5:0,1 n7:0,1"},
      {"a small rack takes what it can",
       {"n1 slots=1 rack=r1", "n2 slots=4 rack=r2", "n3 slots=4 rack=r3"},
       "data:5 spread=data:rack",
       "n1:0 n2:0,1 n3:0,1"},
      {"a part is not split",
       {"n1 slots=1 rack=r1", "n2 slots=3 rack=r2", "n3 slots=2 rack=r3"},
       "data:2,tensor:2 spread=data:rack",
       "n2:0,1 n3:0,1"},
      {"waits for at least that many",
       {"n1 slots=8 rack=r1", "n2 slots=8 rack=r2 used=0"},
       "data:3 spread=data:rack:3",
       "-"},
      {"fewer domains than parts are fine without it",
       {"n1 slots=8 rack=r1", "n2 slots=8 rack=r2"},
       "data:4 spread=data:rack:2",
       "n1:0,1 n2:0,1"},
      {"across racks, but an outer axis stays in a pod", Small(),
       "pipe:2@pod,data:2 spread=data:rack", "n1:0,1 n3:0,1"},
  });
}

TEST(Place, KeepsHotSpares) {
  Expect({
      {"whole idle nodes, near the gang", Small(), "data:2 spares=2", "n1:0,1 +n2 +n3"},
      {"a share of its nodes, rounded up", Small(), "data:6 share=0.4",
       "n1:0,1 n2:0,1 n3:0,1 +n4 +n5"},
      {"as many as there are",
       {"n1 slots=2", "n2 slots=2 used=1", "n3 slots=2"},
       "data:2 spares=5",
       "n1:0,1 +n3"},
      {"that could take its largest share",
       {"n1 slots=1", "n2 slots=2", "n3 slots=2"},
       "data:2 spares=2",
       "n2:0,1 +n3"},
      {"the spares of others are off limits", {"n1 slots=2 spare=7", "n2 slots=1"}, "data:2", "-"},
      {"unless lent to those that can be preempted",
       {"n1 slots=2 spare=7 lent", "n2 slots=1"},
       "data:2",
       "n1:0,1"},
      {"not to others", {"n1 slots=2 spare=7 lent", "n2 slots=1"}, "data:2 not_preemptible", "-"},
      {"and only when nothing else has room",
       {"n1 slots=2 spare=7 lent", "n2 slots=4"},
       "data:2",
       "n2:0,1"},
      {"its own are its own", {"n1 slots=2 spare=1", "n2 slots=1"}, "data:2", "n1:0,1"},
      {"and stay its spares",
       {"n1 slots=2", "n2 slots=2", "n3 slots=2 spare=1"},
       "data:2 spares=1 exclude=n2",
       "n1:0,1 +n3"},
  });
}

class Even : public Denied {
 public:
  bool IsDenied(NodeIndex, uint32_t slot) const override { return slot % 2 == 0; }
};

TEST(Place, LeavesDeniedSlotsAlone) {
  const Inventory cluster = Cluster({"n1 slots=4", "n2 slots=3"});
  const AGang three("data:3"), four("data:4"), alone("data:1 exclusive");
  EXPECT_EQ(PlacedText(Place(three.gang, cluster, nullptr), cluster), "n2:0,1,2");
  const Even even;
  EXPECT_EQ(PlacedText(Place(three.gang, cluster, &even), cluster), "n1:1,3 n2:1");
  EXPECT_EQ(PlacedText(Place(four.gang, cluster, &even), cluster), "-");
  EXPECT_EQ(PlacedText(Place(alone.gang, cluster, &even), cluster), "-");
  EXPECT_EQ(WhyNotPlaced(four.gang, cluster, &even),
            "4 ranks × 1 slot, 3 free on 2 of 2 nodes; 4 slots are promised to others");
}

struct Again {
  std::string name;
  std::string job;
  Nodes before;
  std::string first;  // where it ran
  Nodes after;
  std::string second;
  std::string new_job;  // empty = the same
};

TEST(Place, ComesBackToWhereItWas) {
  const Nodes racks = {"n1 slots=2 rack=r1", "n2 slots=2 rack=r1", "n3 slots=2 rack=r1",
                       "n4 slots=2 rack=r2", "n5 slots=2 rack=r2", "n6 slots=2 rack=r2"};
  const std::vector<Again> cases = {
      {"exactly as before",
       "data:2",
       {"n1 slots=4 used=0,1", "n2 slots=4 used=0"},
       "n1:2,3",
       {"n1 slots=4", "n2 slots=2"},
       "n1:2,3",
       ""},
      {"one node gone: the others stay, the closest replaces it", "data:4", racks, "n1:0,1 n2:0,1",
       With(racks, {{1, "down=dead"}}), "n3:0,1 n2:0,1", ""},
      {"a spare of its own replaces it", "data:4", racks, "n1:0,1 n2:0,1",
       With(racks, {{1, "down=dead"}, {5, "spare=1"}}), "n5:0,1 n2:0,1", ""},
      {"inside the rack if the shape demands it", "data:4@rack", racks, "n1:0,1 n2:0,1",
       With(racks, {{1, "down=dead"}, {5, "spare=1"}}), "n3:0,1 n2:0,1", ""},
      {"afresh when no such node is left", "data:4@rack", racks, "n1:0,1 n2:0,1",
       With(racks, {{1, "down=dead"}, {3, "used=0"}}), "n4:0,1 n5:0,1", ""},
      {"a node of which others took a slot still serves",
       "data:2",
       {"n1 slots=3", "n2 slots=9"},
       "n1:0,1",
       {"n1 slots=3 used=0", "n2 slots=9"},
       "n1:1,2",
       ""},
      {"scaled down: afresh, on previous nodes", "data:4", racks, "n1:0,1 n2:0,1",
       With(racks, {{1, "used=0"}}), "n2:0,1", "data:2"},
      {"scaled to more tensor parallelism: blocks first",
       "data:4,tensor:1@node",
       racks,
       "n1:0,1 n2:0,1",
       {"n1 slots=2", "n2 slots=2", "n3 slots=4"},
       "n3:0,1,2,3",
       "data:1,tensor:4@node"},
  };
  for (const Again& item : cases) {
    const AGang asks(item.job);
    const Inventory before = Cluster(item.before);
    const auto first = Place(asks.gang, before, nullptr);
    ASSERT_EQ(PlacedText(first, before), item.first) << item.name;
    const Inventory after = Cluster(item.after);
    AGang again(item.new_job.empty() ? item.job : item.new_job);
    again.WasOn(first->shares);
    EXPECT_EQ(PlacedText(Place(again.gang, after, nullptr), after), item.second) << item.name;
  }
}

TEST(Place, AJobOfAnotherClassIsAnotherQuestion) {
  const std::string base = "data:2,tensor:4@node";
  for (const std::string other :
       {"data:4,tensor:2@node", "data:2,tensor:4@rack", "data:2,tensor:4@node slots=2",
        "data:2,tensor:4@node device=H100", "data:2,tensor:4@node exclusive",
        "data:2,tensor:4@node spread=data:rack", "data:2,tensor:4@node exclude=n1",
        "data:2,tensor:4@node select=a:b", "data:2,tensor:4@node tolerate=n1",
        "data:2,tensor:4@node not_preemptible"}) {
    EXPECT_NE(PlacementClass(Job(base)), PlacementClass(Job(other))) << other;
  }
  EXPECT_EQ(PlacementClass(Job(base)), PlacementClass(Job(base + " spares=2")));
}

}  // namespace
}  // namespace muster::coordinator::scheduler
