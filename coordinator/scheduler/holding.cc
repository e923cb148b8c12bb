#include "coordinator/scheduler/holding.h"

namespace muster::coordinator::scheduler {
namespace {

v1::NodeShare Whole(const Inventory& inventory, NodeIndex node) {
  v1::NodeShare share;
  share.set_node(inventory.facts(node).name.value());
  return share;
}

void AddWhole(const Inventory& inventory, NodeIndex node, Holding& holding) {
  holding.whole.push_back(node);
  for (uint32_t slot = 0; slot < inventory.slots(node); ++slot) {
    holding.slots.push_back({node, slot});
  }
}

}  // namespace

Holding HoldingOf(const Inventory& inventory, JobId job,
                  const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares) {
  Holding holding;
  for (const v1::NodeShare& share : shares) {
    const NodeIndex node = inventory.Find(NodeId(share.node()));
    if (node == Inventory::kNone) continue;
    if (inventory.exclusive_holder(node) == job) {
      AddWhole(inventory, node, holding);
      continue;
    }
    for (const uint32_t slot : share.slots()) {
      if (inventory.holder(node, slot) == job) holding.slots.push_back({node, slot});
    }
  }
  return holding;
}

Holding TakeStart(Inventory& inventory, const WaitingJob& job, const Placed& placed) {
  Holding holding;
  for (const v1::NodeShare& share : placed.shares) {
    const NodeIndex node = inventory.Find(NodeId(share.node()));
    if (job.shape->exclusive) {
      AddWhole(inventory, node, holding);
    } else {
      for (const uint32_t slot : share.slots()) holding.slots.push_back({node, slot});
    }
  }
  Take(inventory, job.job, holding);
  GiveSparesBack(inventory, job.job, *job.spec);
  for (const NodeIndex node : placed.spares) {
    inventory.SetSpare(node, job.job, job.shape->lend_spares);
  }
  return holding;
}

void GiveSparesBack(Inventory& inventory, JobId job, const v1::JobSpec& spec) {
  if (spec.recovery().hot_spares() == 0 && spec.recovery().spare_share() <= 0) return;
  for (NodeIndex node = 0; node < inventory.size(); ++node) {
    if (inventory.spare_for(node) == job) inventory.SetSpare(node, JobId(), false);
  }
}

void Take(Inventory& inventory, JobId job, const Holding& holding) {
  for (const NodeIndex node : holding.whole) inventory.Take(Whole(inventory, node), job, true);
  if (!holding.whole.empty()) return;
  for (const SlotRef& slot : holding.slots) inventory.Take(slot.node, slot.slot, job);
}

void Free(Inventory& inventory, JobId job, const Holding& holding) {
  for (const NodeIndex node : holding.whole) inventory.Free(Whole(inventory, node), job, true);
  if (!holding.whole.empty()) return;
  for (const SlotRef& slot : holding.slots) inventory.Free(slot.node, slot.slot, job);
}

}  // namespace muster::coordinator::scheduler
