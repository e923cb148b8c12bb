// Where the checkpoints that a word names lie: a folder, or those of a job.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"

namespace muster::cli {

struct CheckpointFolder {
  std::string path;
  bool is_one_checkpoint = false;  // else a folder of checkpoints
};

// Errors: kNotFound: no such folder and no such job, or the job's folder is not on this machine.
absl::StatusOr<CheckpointFolder> FindCheckpointFolder(Session& session, const std::string& word);

}  // namespace muster::cli
