// Puts one gang on nodes: all ranks or none.
//
// In this order: the job's previous slots, when every one is free; the previous nodes with its hot
// spares or others in the places of those that are gone; else packed: in the smallest domain that
// holds all, the tightest of these; if none does, in as few domains as possible, largest first, the
// last one by tightest fit, so that large holes stay whole; ranks in the order of the domains, so
// that the innermost axes lie closest. Blocks are never split across their domain.
//
// It places whenever there is a way, with one exception: a spread whose domains lie inside larger
// ones that a block must not leave (spread across rack, an outer axis within pod) may miss one.
//
// An exclusive gang gets idle nodes only; its shares list its ranks' slots, and Inventory::Take
// with `exclusive` holds the rest.
//
// Hot spares are best effort: the gang starts with fewer when there are not enough idle nodes that
// could take the place of its largest share. Spares of others are off limits, but lent ones may be
// used by preemptible gangs, when nothing else has room.
//
// Same question, same answer. Time per call: O(nodes), no allocation per node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/shape.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::scheduler {

struct Gang {
  JobId job;
  const v1::JobSpec* spec = nullptr;
  const Shape* shape = nullptr;
  bool preemptible = true;  // may it use spares that are lent
  const google::protobuf::RepeatedPtrField<v1::NodeShare>* previous = nullptr;  // may be null
  const std::vector<NodeId>* avoid = nullptr;  // nodes it must not use; may be null
};

// Slots the gang may not use now although they are free: promised to others.
class Denied {
 public:
  virtual ~Denied() = default;
  virtual bool IsDenied(NodeIndex node, uint32_t slot) const = 0;
  // False = surely no slot of the node is denied; spares asking for each.
  virtual bool MayDeny(NodeIndex /*node*/) const { return true; }
};

struct Placed {
  std::vector<v1::NodeShare> shares;  // by first rank
  std::vector<NodeIndex> spares;      // whole idle nodes, the job's old ones first
};

// nullopt when it does not fit on what is usable and free. `denied` may be null.
std::optional<Placed> Place(const Gang& gang, const Inventory& inventory, const Denied* denied);

// Why Place said no, in words that end in what is missing: "16 ranks × 1 slot, 12 free on 3 of 4
// nodes; n2 drained (lemon)", "tensor needs 8 slots on one node and the emptiest has 6",
// "data needs 2 racks with 8 free slots, 1 has them". Names at most a few nodes.
std::string WhyNotPlaced(const Gang& gang, const Inventory& inventory, const Denied* denied);

// What would help: "6 more free slots on one node", "n2 back in service". A line each; any one of
// them is enough, as far as the first thing that is missing goes. Empty when nothing is known, or
// when only promises to others stand in the way. Costs some tens of placements.
std::vector<std::string> WhatWouldUnblock(const Gang& gang, const Inventory& inventory);

// Empty when the nodes, all free and usable, could hold the gang; else what is missing and what to
// do: "needs 16 slots, the cluster has 8; lower mesh.data or add nodes".
std::string WhyNeverFits(const v1::JobSpec& spec, const Inventory& inventory);

}  // namespace muster::coordinator::scheduler
