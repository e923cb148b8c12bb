// Where the coordinator is, in this order: --coordinator, MUSTER_COORDINATOR, the address file of
// a dev cluster in --state, MUSTER_STATE or ./.muster.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace muster::cli {

struct CoordinatorHints {
  std::string coordinator;  // --coordinator
  std::string state;        // --state
};

// The dev cluster's folder: --state, MUSTER_STATE or ".muster".
std::string StateFolder(const CoordinatorHints& hints);

// The file that names the dev cluster's address.
std::string AddressFile(const std::string& state);

// host:port. Errors: kUnavailable when nothing says where, with the three ways to say it;
// kInvalidArgument for something that is not host:port.
absl::StatusOr<std::string> FindCoordinator(const CoordinatorHints& hints);

}  // namespace muster::cli
