// What the number after `muster` means; scripts rely on it (docs/operations/exit_codes.md).
#pragma once

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,        // anything else; and a job that failed or was cancelled
  kExitUsage = 2,        // wrong command line, or a job file that cannot be
  kExitNotFound = 3,     // no such job, node, file
  kExitDenied = 4,       // not allowed
  kExitConflict = 5,     // exists already, or not possible in this state
  kExitUnavailable = 6,  // the coordinator (or a worker) cannot be reached
  kExitNoRoom = 7,       // the job cannot be placed
  kExitDeadline = 8,     // not done in the time given
  kExitDetached = 130,   // Ctrl-C; jobs go on
};

ExitCode ExitCodeOf(const absl::Status& status);

// Of the call that waited for the job: kExitOk when it succeeded, kExitError when it failed or was
// cancelled.
ExitCode ExitCodeOf(v1::JobState state);

bool IsEnded(v1::JobState state);

}  // namespace muster::cli
