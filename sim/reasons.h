// Is what the coordinator tells a waiting job true?
#pragma once

#include <string>

#include "coordinator/core/cluster.h"

namespace muster::sim {

// Empty, or "reasons: …": a waiting job without a reason, or with one that names free slots there
// are not. To be asked right after a tick.
std::string CheckReasons(const coordinator::core::Cluster& cluster);

}  // namespace muster::sim
