// What `muster wait --for` waits for, and whether a job is there.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster::cli {

struct WaitGoal {
  enum class Kind { kSucceeded, kEnded, kRunning, kSuspended, kStep };
  Kind kind = Kind::kSucceeded;
  uint64_t step = 0;  // of kStep
};

enum class WaitVerdict { kNotYet, kReached, kNever };

absl::StatusOr<WaitGoal> ParseWaitGoal(const std::string& text);

WaitVerdict JudgeWait(const WaitGoal& goal, const v1::Job& job);

}  // namespace muster::cli
