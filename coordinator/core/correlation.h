// Nodes that go together: a rack that loses its power is one failure, not 72.
//
// Nodes are lost together when, within Options::correlate_within, at least two and more than half
// of a domain (nvlink segment, rack, pod) are; the smallest such domain counts. Nodes that were
// dead before do not count as part of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// The open incident that the loss of `node` is part of: its nodes fell together with this one, or
// it lost this very node. 0 = none. Nodes that are silent but not yet given up count as lost.
uint64_t IncidentOfLostNode(const ClusterState& state, const NodeId& node);

// Names the domain of the incident when its lost nodes went together, and takes in those of the
// domain that died with them. For apply: looks at what is recorded alone.
void NameDomain(const ClusterState& state, IncidentEntry& entry);

// The same for every open incident that the death of `node` may be part of; returns those that
// changed.
std::vector<uint64_t> AddToDomains(ClusterState& state, const NodeId& node, int64_t now_ms);

}  // namespace muster::coordinator::core
