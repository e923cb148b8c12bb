// Nodes as text for people.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/cluster_service.pb.h"

namespace muster::cli {

// All that `muster node describe` shows.
std::string NodeDescription(const v1::GetNodeResponse& response, int64_t now_unix_ms);

std::string NodeTable(const v1::ListNodesResponse& nodes, int64_t now_unix_ms, bool wide);

}  // namespace muster::cli
