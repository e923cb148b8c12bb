// Answers about the ledger: of one job, or of all that a request names. ledger.proto defines the
// kinds; stretches.h says how the time of a job is divided.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/state.h"
#include "muster/v1/ledger.pb.h"

namespace muster::coordinator::core {

// The time up to which live attempts count.
int64_t LedgerNow(const ClusterState& state);

// `full`: with entries and causes.
v1::Ledger LedgerOf(const ClusterState& state, const Job& job, bool full);

// Errors: kInvalidArgument when more than one of job, node, queue and user is named, or the times
// are none; kNotFound when what is named does not exist.
absl::StatusOr<v1::Ledger> LedgerOf(const ClusterState& state, const v1::GetLedgerRequest& request);

// Cost: O(jobs), but without bounds and names O(jobs that have not ended).
LedgerSum SumOf(const ClusterState& state, const v1::GetLedgerRequest& request);

}  // namespace muster::coordinator::core
