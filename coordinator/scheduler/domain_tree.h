// All nodes of an inventory as a tree: pods, racks, nvlink segments, nodes; flat and in order.
//
// Children of a domain are consecutive. A rack whose nodes state different pods is one rack in
// each of them; the same for a segment.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/scheduler/inventory.h"

namespace muster::coordinator::scheduler {

struct DomainTree {
  std::vector<NodeIndex> order;         // leaves: by pod, rack, segment, name
  std::vector<uint32_t> segment_begin;  // segment s: leaves [segment_begin[s], segment_begin[s+1])
  std::vector<uint32_t> rack_begin;     // rack r: segments [rack_begin[r], rack_begin[r+1])
  std::vector<uint32_t> pod_begin;      // pod p: racks [pod_begin[p], pod_begin[p+1])
  std::vector<uint32_t> segment_of;     // by leaf
  std::vector<uint32_t> rack_of;        // by segment
  std::vector<uint32_t> pod_of;         // by rack
  std::vector<uint32_t> leaf_of;        // by node number: its place in `order`
};

DomainTree BuildDomainTree(const Inventory& inventory);

}  // namespace muster::coordinator::scheduler
