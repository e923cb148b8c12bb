#include "coordinator/core/request_use.h"

#include "common/status.h"

namespace muster::coordinator::core {

absl::StatusOr<const RequestUse*> EarlierUse(const ClusterState& state, const std::string& id,
                                             RequestUse::Call call) {
  const auto found = id.empty() ? state.requests.end() : state.requests.find(id);
  if (found == state.requests.end()) return nullptr;
  if (found->second.call != call) {
    return InvalidArgument(
        "request_id \"{}\" was used for another kind of call; choose a fresh one for each request",
        id);
  }
  return &found->second;
}

}  // namespace muster::coordinator::core
