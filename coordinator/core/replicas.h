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

// Of shares that are about to start.
std::vector<ReplicaPlace> PlacesOf(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares,
                                   const NodeTable& nodes);
// The innermost axis, when it is the tensor axis; else 1.
uint32_t TensorSizeOf(const google::protobuf::RepeatedPtrField<v1::Axis>& mesh);
// Of an attempt's shares; 0 = none.
uint32_t WorldSizeOf(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares);

// How well it is for two places that one keeps what the other loses, of `pairs` that are added up:
// no number of better racks makes up for one pair in a tensor group.
uint64_t ApartScore(const ReplicaPlace& one, const ReplicaPlace& other, uint32_t tensor,
                    size_t pairs);

// The attempts before attempt `number` of the job that may be gone on from in memory, newest first.
std::vector<const v1::Attempt*> AttemptsInMemory(const Job& job, uint64_t number);

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

// False: that node cannot be asked now.
bool AddSource(const SlotHolder& holder, const NodeTable& nodes,
               google::protobuf::RepeatedPtrField<v1::SlotSource>* sources);

// Tells a node where its ranks' copies go and where to look for what they saved before.
void AddReplicas(const Job& job, const Attempt& attempt, size_t index, const NodeTable& nodes,
                 v1::StartRanks* start);

}  // namespace muster::coordinator::core
