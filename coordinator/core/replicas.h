// Where copies of what ranks save in memory are kept, and which nodes may have some.
//
// The nodes of an attempt are paired by one number: share i's slots are copied to the node of share
// i + shift, so every node keeps for one other and what must be recorded does not grow with the
// attempt.
//
// Pure: plain values in and out.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/core/job_table.h"
#include "coordinator/core/node_table.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

// One share of an attempt, where it is.
struct ReplicaPlace {
  uint32_t first_rank = 0;
  uint32_t ranks = 0;
  v1::Location location;
};

// The shift that parts the most pairs: outside each other's tensor group first (`tensor`: size of
// the innermost axis, whose ranks follow one another), then in another rack, then in another pod.
// 0: fewer than two shares. O(places) for each of a few dozen shifts.
uint32_t ReplicaShift(const std::vector<ReplicaPlace>& places, uint32_t tensor);
// The same for shares that are about to start.
uint32_t ReplicaShift(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares,
                      const google::protobuf::RepeatedPtrField<v1::Axis>& mesh,
                      const NodeTable& nodes);

// Ranks of an attempt, and a node that had them or kept their copies.
struct SlotHolder {
  NodeId node;
  uint32_t first_rank = 0;
  uint32_t ranks = 0;

  bool operator==(const SlotHolder&) const = default;
};

// Of the ranks of `share` in the job's attempt `number`: by the attempts before it that may be gone
// on from, newest first, each node with its run of ranks once. O(log shares) an attempt.
std::vector<SlotHolder> SlotHoldersOf(const Job& job, uint64_t number, const v1::NodeShare& share);

// Tells a node where its ranks' copies go and where to look for what they saved before.
void AddReplicas(const Job& job, const Attempt& attempt, size_t index, const NodeTable& nodes,
                 v1::StartRanks* start);

}  // namespace muster::coordinator::core
