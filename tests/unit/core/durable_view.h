// What of the cluster a replay of its records must rebuild, as text: every job and node, without
// what workers say again (progress, liveness, reasons for waiting).
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/cluster.h"

namespace muster::coordinator::core {

std::string DurableView(const Cluster& cluster);

// The durable view of a fresh cluster that applied these records.
std::string ReplayedView(const Options& options, const std::vector<v1::Record>& records);

}  // namespace muster::coordinator::core
