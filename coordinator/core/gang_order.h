// What all nodes of an attempt are told alike, as the bytes every StartRanks of it carries.
#pragma once

#include <string>

#include "coordinator/core/job_table.h"

namespace muster::coordinator::core {

// A serialised v1::GangOrder. Made at the first call and kept with the attempt: every node of it
// gets the same bytes, whenever it asks, so all ranks agree on where to resume.
const std::string& GangOrderOf(const Job& job, Attempt& attempt);

}  // namespace muster::coordinator::core
