// Same request_id, same effect, once.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {

// The earlier use of a request_id; nullptr when there is none, kInvalidArgument when it was for
// another kind of call.
absl::StatusOr<const RequestUse*> EarlierUse(const ClusterState& state, const std::string& id,
                                             RequestUse::Call call);

}  // namespace muster::coordinator::core
