// Where the checkpoints that a word names lie: one checkpoint, a folder of them, or those of a job.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command_line.h"
#include "cli/session.h"

namespace muster::cli {

struct CheckpointFolder {
  std::string path;
  bool is_one_checkpoint = false;  // else a folder of checkpoints
};

// Errors: kNotFound: no such folder and no such job, or the job's folder is not on this machine.
absl::StatusOr<CheckpointFolder> FindCheckpointFolder(Session& session, const std::string& word);

// The folder of one committed checkpoint: `word` is it, or a job or folder of checkpoints: then the
// newest committed one, or with `@STEP` behind the word the one of that step (of its newest
// attempt). Errors: kNotFound names what is there instead.
absl::StatusOr<std::string> FindOneCheckpoint(Session& session, const std::string& word);

// The positional that FindOneCheckpoint reads.
Option OneCheckpointOption(std::string* word);

}  // namespace muster::cli
