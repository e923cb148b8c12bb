// Follows one job to its end.
#pragma once

#include "absl/status/statusor.h"
#include "cli/exit_codes.h"
#include "cli/session.h"

namespace muster::cli {

// Prints one line per event after `from_revision` (0: from now on) and, on a terminal, a line that
// moves with the progress. Reconnects for ten minutes when the coordinator goes away, and says so;
// nothing durable is missed. Ctrl-C detaches. Returns the job's own exit code.
absl::StatusOr<int> WatchJob(Session& session, const v1::Job& job, uint64_t from_revision);

// From here on, Ctrl-C prints how to look again and ends the program with kExitDetached.
void DetachOnInterrupt(const v1::Job& job);

}  // namespace muster::cli
