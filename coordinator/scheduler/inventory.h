// The nodes as the scheduler sees them: where they sit, what they are, which slots are free.
//
// Kept up to date by the core, change by change, so that no pass begins by collecting it. Copies
// are cheap (flat arrays): what-if questions work on a copy.
//
// Nodes are numbered in the order they were first set; numbers never change. A domain without a
// stated name is one of its own for that node. Iteration is by number, names sort naturally ("n2"
// before "n10") through `by_name()`.
//
// Time, threads: none.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/ids.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/node.pb.h"

namespace muster::coordinator::scheduler {

using NodeIndex = uint32_t;
using DomainIndex = uint32_t;

// The recorded facts of one node.
struct NodeFacts {
  NodeId name;
  uint32_t slots = 0;
  v1::Location location;
  std::vector<v1::Device> devices;
  std::vector<v1::Label> labels;
  std::vector<std::string> taints;
};

class Inventory {
 public:
  // Adds the node, or changes its facts; its usability, spares and taken slots stay.
  NodeIndex Set(const NodeFacts& facts);
  // READY, OPEN and clean; if not, `why_not` says: "drained (lemon)".
  void SetUsable(NodeIndex node, bool usable, const std::string& why_not);
  // The job the node is a hot spare of; JobId() = none. `lent`: preemptible jobs may run on it.
  void SetSpare(NodeIndex node, JobId owner, bool lent);
  // Slots must be free / taken by that job: CHECK. Of a slot beyond what the node has now, Free is
  // silent: the node may have shrunk.
  void Take(NodeIndex node, uint32_t slot, JobId job);
  void Free(NodeIndex node, uint32_t slot, JobId job);
  void Take(const v1::NodeShare& share, JobId job);
  void Free(const v1::NodeShare& share, JobId job);

  // kNone when there is no such node.
  static constexpr NodeIndex kNone = UINT32_MAX;
  NodeIndex Find(const NodeId& name) const;
  size_t size() const;
  const NodeFacts& facts(NodeIndex node) const;
  bool usable(NodeIndex node) const;
  const std::string& why_not(NodeIndex node) const;
  JobId spare_for(NodeIndex node) const;
  bool lent(NodeIndex node) const;
  uint32_t free_slots(NodeIndex node) const;              // how many
  std::vector<uint32_t> FreeSlots(NodeIndex node) const;  // which, ascending
  JobId holder(NodeIndex node, uint32_t slot) const;      // JobId() = free
  bool idle(NodeIndex node) const;                        // nobody holds a slot of it
  uint64_t slots_total() const;                           // of all nodes
  uint64_t slots_usable() const;                          // of usable nodes, free or not
  // The domain of that kind the node is in (NVLINK, RACK, POD); equal numbers, same domain.
  DomainIndex domain(NodeIndex node, v1::Domain kind) const;
  const std::string& domain_name(DomainIndex domain, v1::Domain kind) const;
  // Grows with every change that can make room: usable again, freed, added.
  uint64_t room_revision() const;

  // (Private part: the owner of this folder chooses the flat arrays.)
};

}  // namespace muster::coordinator::scheduler
