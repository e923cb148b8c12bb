// Decides whether a node counts as alive.
//
// On an open stream silence decides: suspect after `suspect_after`, dead after `dead_after`. A
// broken stream makes it suspect at once, and dead when it is not back in time.
//
// Time: callers pass `now`; it never goes back.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "coordinator/core/cluster.h"
#include "muster/v1/node.pb.h"

namespace muster::coordinator::core {

struct Lease {
  bool connected = false;
  absl::Time heard = absl::InfinitePast();       // newest message
  absl::Time give_up_at = absl::InfinitePast();  // dead from here on, while not connected
  std::string broken;                            // why it is not connected
};

struct Liveness {
  v1::NodeState state = v1::NODE_STATE_UNSPECIFIED;
  std::string reason;  // empty when READY
};

Liveness Judge(const Lease& lease, absl::Time now, const Options& options);

// When Judge says something else than now, should nothing more be heard. Infinite: never.
absl::Time NextChange(const Lease& lease, absl::Time now, const Options& options);

}  // namespace muster::coordinator::core
