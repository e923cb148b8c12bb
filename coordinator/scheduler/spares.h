// Chooses the hot spares of a gang.
#pragma once

#include <vector>

#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/place.h"

namespace muster::coordinator::scheduler {

// Up to as many whole idle nodes as the shape asks for, each able to take the gang's largest share:
// those the job has already, then those closest to the gang. Fewer when there are no more.
std::vector<NodeIndex> ChooseSpares(const Gang& gang, const Inventory& inventory,
                                    const NodeRules& rules,
                                    const std::vector<v1::NodeShare>& shares);

}  // namespace muster::coordinator::scheduler
