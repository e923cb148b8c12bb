// The nodes as the scheduler sees them: where they sit, what they are, which slots are free.
//
// Kept up to date by the core, change by change, so that no pass begins by collecting it. Copies
// are cheap (flat arrays; what rarely changes is shared): what-if questions work on a copy.
//
// Nodes are numbered in the order they were first set; numbers never change.
//
// Domains: a level without a stated name is the next smaller domain itself. So a node with nothing
// stated is a domain of its own everywhere, and a rack without a pod is a pod of one rack.
//
// A node may lose slots while jobs hold them (its worker came back with fewer devices). They stay
// held until freed, and are free again only when the node has them again.
//
// An exclusive job holds its nodes whole: its shares list the slots of its ranks, every other slot
// of the node is held with them (also slots that come later), so shares and spec say it all.
//
// Time: none. Threads: none, not even for reading (copies share what they build on demand).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/node.pb.h"

namespace muster::coordinator::scheduler {

using NodeIndex = uint32_t;
using DomainIndex = uint32_t;

struct DomainTree;
struct Roster;

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
  Inventory();
  ~Inventory();
  Inventory(const Inventory&);
  Inventory& operator=(const Inventory&);
  Inventory(Inventory&&) noexcept;
  Inventory& operator=(Inventory&&) noexcept;

  // Adds the node (not usable, all free), or changes its facts: its usability, spare and taken
  // slots stay.
  NodeIndex Set(const NodeFacts& facts);
  // READY, OPEN and clean; if not, `why_not` says: "drained (lemon)".
  void SetUsable(NodeIndex node, bool usable, const std::string& why_not);
  // The job the node is a hot spare of; JobId() = none. `lent`: preemptible jobs may run on it.
  void SetSpare(NodeIndex node, JobId owner, bool lent);
  // The slot must be held by nobody / by that job: CHECK. `job` is never JobId().
  void Take(NodeIndex node, uint32_t slot, JobId job);
  void Free(NodeIndex node, uint32_t slot, JobId job);
  // The slots of a share; of an exclusive job the whole node, which must be idle / its own. The
  // node must be known: CHECK.
  void Take(const v1::NodeShare& share, JobId job, bool exclusive);
  void Free(const v1::NodeShare& share, JobId job, bool exclusive);

  // kNone when there is no such node.
  static constexpr NodeIndex kNone = UINT32_MAX;
  NodeIndex Find(const NodeId& name) const;
  size_t size() const { return slots_.size(); }
  const NodeFacts& facts(NodeIndex node) const;
  uint32_t slots(NodeIndex node) const { return slots_[node]; }
  bool usable(NodeIndex node) const { return usable_[node] != 0; }
  const std::string& why_not(NodeIndex node) const;
  JobId spare_for(NodeIndex node) const { return spare_for_[node]; }
  bool lent(NodeIndex node) const { return lent_[node] != 0; }
  bool has_lent() const { return lent_count_ > 0; }  // any node is lent
  // Free means: the node has the slot and nobody holds it, whether the node is usable or not.
  uint32_t free_slots(NodeIndex node) const { return free_[node]; }  // how many
  bool is_free(NodeIndex node, uint32_t slot) const;
  std::vector<uint32_t> FreeSlots(NodeIndex node) const;  // which, ascending
  JobId holder(NodeIndex node, uint32_t slot) const;      // JobId() = nobody
  JobId exclusive_holder(NodeIndex node) const { return whole_[node]; }
  bool idle(NodeIndex node) const;                         // nobody holds a slot of it
  uint64_t slots_total() const { return slots_total_; }    // of all nodes
  uint64_t slots_usable() const { return slots_usable_; }  // of usable nodes, free or not
  // The domain of that kind the node is in; equal numbers, same domain. NODE: the node's number.
  DomainIndex domain(NodeIndex node, v1::Domain kind) const;
  // As stated; a domain nobody named has the name of what it is alone with: a node, at last.
  const std::string& domain_name(DomainIndex domain, v1::Domain kind) const;
  // All nodes in the order of their domains, names in natural order ("n2" before "n10").
  const DomainTree& tree() const;
  // Nodes of equal kind have equal labels, taints, devices and number of slots.
  uint32_t kind(NodeIndex node) const;
  // Grows with every change that can make room: usable again, freed, added, other facts.
  uint64_t room_revision() const { return room_revision_; }

 private:
  Roster& EditRoster();
  void Grow(NodeIndex node, uint32_t room);
  void Recount(NodeIndex node);

  std::shared_ptr<Roster> roster_;                  // names, facts, domains
  mutable std::shared_ptr<const DomainTree> tree_;  // null until asked for again
  std::vector<uint32_t> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> held_;  // holders_ of it that are somebody; whole_ not counted
  std::vector<uint8_t> usable_;
  std::vector<uint8_t> lent_;
  std::vector<JobId> spare_for_;
  std::vector<JobId> whole_;     // the exclusive holder
  std::vector<uint32_t> first_;  // where the node's slots begin in holders_
  std::vector<uint32_t> room_;   // slots it has there, at least slots_
  std::vector<JobId> holders_;
  std::vector<std::shared_ptr<const std::string>> why_not_;  // null = ""
  uint64_t slots_total_ = 0;
  uint64_t slots_usable_ = 0;
  uint64_t room_revision_ = 0;
  uint32_t lent_count_ = 0;
};

}  // namespace muster::coordinator::scheduler
