// Removes what a dead shim may have left on the node.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace muster::worker::shim {

// Kills every process of the attempt that still lives (the recorded ones, proven by start time,
// with their process groups, and any process that carries the folder's MUSTER_SCOPE), waits until
// they are gone, and removes the attempt's shared memory, temporary files and socket. order.pb,
// report.pb and shim.log stay: the caller removes the folder when it needs them no more.
//
// Idempotent; does nothing for a folder that does not exist. Also kills a living shim.
// Errors: kDeadlineExceeded when a process cannot be killed within 10 s; a message names it.
absl::Status CleanUpAttempt(const std::string& folder);

}  // namespace muster::worker::shim
