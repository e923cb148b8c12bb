// What one job holds of an inventory, to be given back and taken again as a whole.
#pragma once

#include <vector>

#include "common/ids.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/promises.h"

namespace muster::coordinator::scheduler {

struct Holding {
  std::vector<SlotRef> slots;    // on nodes of its own: every slot
  std::vector<NodeIndex> whole;  // nodes of its own (exclusive)
};

// What `job` really holds of these shares; nodes that are not known any more are left out.
Holding HoldingOf(const Inventory& inventory, JobId job,
                  const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares);

// Takes what a start takes: slots or whole nodes, and the spares, in place of those it had. Returns
// the former.
Holding TakeStart(Inventory& inventory, const WaitingJob& job, const Placed& placed);

// All nodes that are its hot spares, if its spec asks for any.
void GiveSparesBack(Inventory& inventory, JobId job, const v1::JobSpec& spec);

void Take(Inventory& inventory, JobId job, const Holding& holding);
void Free(Inventory& inventory, JobId job, const Holding& holding);

}  // namespace muster::coordinator::scheduler
