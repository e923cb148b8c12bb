// Which slots of which nodes one gang may use: usability, labels, taints, devices, spares.
//
// For what-if questions single rules can be waived. Answers for nodes of one kind are computed
// once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/scheduler/place.h"

namespace muster::coordinator::scheduler {

// As bits, in the order they are looked at.
enum Rule : uint32_t {
  kNoRule = 0,
  kUsableRule = 1,    // in service
  kExcludeRule = 2,   // placement.exclude
  kSelectRule = 4,    // placement.select
  kTaintRule = 8,     // placement.tolerate
  kDeviceRule = 16,   // resources.device
  kSpareRule = 32,    // not another job's hot spare
  kLentRule = 64,     // nor one that it lent
  kIdleRule = 128,    // exclusive: nobody else on the node
  kHeldRule = 256,    // only free slots
  kDeniedRule = 512,  // not promised to others
};

class NodeRules {
 public:
  // `denied` may be null. All pointers outlive this. `waived`: bits of rules not to apply.
  NodeRules(const Gang& gang, const Inventory& inventory, const Denied* denied, uint32_t waived);

  // The first rule that keeps the gang off the node; kNoRule although it may have no free slot.
  Rule Against(NodeIndex node) const;
  // How many slots the gang may use on the node.
  uint32_t Room(NodeIndex node) const;
  // Which, ascending.
  std::vector<uint32_t> Slots(NodeIndex node) const;
  bool MayUse(NodeIndex node, uint32_t slot) const;
  // By leaf of the inventory's tree: Room.
  std::vector<uint32_t> RoomByLeaf() const;

 private:
  struct Verdict {
    bool known = false;
    Rule against = kNoRule;
    bool by_slot = false;  // some slots have the device, some do not
  };
  const Verdict& OfKind(NodeIndex node) const;
  bool HasDevice(const NodeFacts& facts, uint32_t slot) const;
  bool applies(Rule rule) const { return (waived_ & rule) == 0; }

  const Gang& gang_;
  const Inventory& inventory_;
  const Denied* denied_;
  uint32_t waived_;
  std::string device_;          // lower case
  std::vector<bool> excluded_;  // by node; empty = none
  mutable std::vector<Verdict> of_kind_;
};

}  // namespace muster::coordinator::scheduler
