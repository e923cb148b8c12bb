// Has what somebody asked to be saved reached storage?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::cli {

// The last order to save that the job was given.
struct SaveAsked {
  uint64_t attempt = 0;
  int64_t unix_ms = 0;
  uint64_t step = 0;  // known to be finished then
};

std::optional<SaveAsked> NewestSaveAsked(const v1::Job& job);

struct SaveVerdict {
  enum class Kind { kNotYet, kSaved, kNever };
  Kind kind = Kind::kNotYet;
  v1::CheckpointRef saved;  // kSaved: the newest that is not older than the order
  std::string why;          // kNever: one line, with what to do next
};

// `job` as it is now. A checkpoint counts when it was committed after the order and is of no older
// step; once the attempt is over, also when it had that step on storage before.
SaveVerdict JudgeSave(const SaveAsked& asked, const v1::Job& job);

}  // namespace muster::cli
