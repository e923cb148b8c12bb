// Which waiting jobs start where, and why the others wait.
//
// Plan looks at one snapshot: the nodes with their free slots and the queue, first job first. A
// gang is placed all or none. Only usable nodes get ranks. Ranks are packed on as few nodes as
// possible, in rank order, so the innermost axes of a mesh lie closest; an axis that asks for
// `within: node` keeps its whole block of consecutive ranks on one node. A job that ran before
// gets exactly its previous slots when they are free.
//
// The surprising rule: strict first in, first out. The first job that does not fit (or must not
// start yet) blocks all behind it, so a large gang is never starved by small ones.
//
// Time, threads: none. Same snapshot, same plan.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::scheduler {

struct FreeNode {
  NodeId name;
  bool usable = false;               // READY and OPEN
  std::string why_not;               // "drained (lemon)", when not usable
  uint32_t slots = 0;                // all it has
  std::vector<uint32_t> free_slots;  // ascending
};

// One waiting job. The pointers outlive the call.
struct Ask {
  JobId job;
  const v1::JobSpec* spec = nullptr;
  const google::protobuf::RepeatedPtrField<v1::NodeShare>* previous = nullptr;  // may be null
  uint64_t previous_attempt = 0;
  std::string hold;  // must not start yet: the reason for waiting
};

struct Snapshot {
  std::vector<FreeNode> nodes;  // by name
  std::vector<Ask> queue;       // first job first
};

struct Placement {
  JobId job;
  std::vector<v1::NodeShare> shares;  // by first rank
  std::string reason;                 // "4 ranks on n1 (0-1), n2 (2-3): same nodes as attempt 1"
};

struct Waiting {
  JobId job;
  std::string reason;  // "waiting: 4 ranks × 1 slot, 2 free on 1 of 2 nodes; n2 drained (lemon)"
};

struct Plan {
  std::vector<Placement> placements;  // in queue order
  std::optional<Waiting> head;        // the first job that waits; all later ones wait behind it
};

Plan MakePlan(Snapshot snapshot);

// "waiting: behind job 3"
std::string BehindText(JobId head);

uint32_t WorldSize(const v1::JobSpec& spec);

// Empty when nodes of these sizes could hold the job if all were free; else what is missing and
// what to do: "needs 16 slots, the cluster has 8; lower mesh.data or add nodes".
std::string WhyNeverFits(const v1::JobSpec& spec, const std::vector<uint32_t>& node_slots);

}  // namespace muster::coordinator::scheduler
