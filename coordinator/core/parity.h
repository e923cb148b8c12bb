// Which nodes share parity, where nodes keep that instead of copies of each other's slots.
//
// The shares of an attempt are put in the order 0, stride, 2 * stride, ..., 1, 1 + stride, ...,
// which is cut into runs as even as can be, none shorter than asked for: so what must be recorded
// does not grow with the attempt, and no group is larger than twice the size asked for, less one.
//
// Pure: plain values in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "coordinator/core/job_table.h"
#include "coordinator/core/node_table.h"
#include "coordinator/core/replicas.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/journal.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

// The groups of so many shares: each share once. A group smaller than asked for only when there are
// fewer shares; none of fewer than two shares.
std::vector<std::vector<size_t>> ParityGroups(size_t shares, uint32_t group, uint32_t stride);
// The one group that has this share; empty: none. O(shares).
std::vector<size_t> ParityGroupOf(size_t shares, uint32_t group, uint32_t stride, size_t index);

// The stride whose groups part the most pairs, as ReplicaShift does. At least 1.
uint32_t ParityStride(const std::vector<ReplicaPlace>& places, uint32_t tensor, uint32_t group);

// Groups for the shares of an attempt that is about to start, as its job wants them.
void PlanParity(const v1::CheckpointSpec& checkpoint,
                const google::protobuf::RepeatedPtrField<v1::Axis>& mesh, const NodeTable& nodes,
                v1::AttemptStarted* started);

// Tells a node its group, and whose parity its ranks' slots may be computed from.
void AddParity(const Job& job, const Attempt& attempt, size_t index, const NodeTable& nodes,
               v1::StartRanks* start);

}  // namespace muster::coordinator::core
