// Whether a job could ever run here, however long it waits.
#pragma once

#include "absl/status/status.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// `doing` begins the message: "submit job \"gpt\"". kNotFound: there is no such queue;
// kResourceExhausted: it needs more than the cluster has, or than its queue may ever hold.
absl::Status CheckFits(const ClusterState& state, const std::string& doing,
                       const v1::JobSpec& spec);

}  // namespace muster::coordinator::core
