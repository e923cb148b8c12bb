// What a record changes in the table of incidents. After the record changed the rest of the state.
#pragma once

#include "coordinator/core/state.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

void ApplyToIncidents(ClusterState& state, const v1::Record& record);

}  // namespace muster::coordinator::core
