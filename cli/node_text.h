// Nodes as text for people.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/cluster_service.pb.h"

namespace muster::cli {

std::string NodeTable(const v1::ListNodesResponse& nodes, int64_t now_unix_ms, bool wide);

}  // namespace muster::cli
