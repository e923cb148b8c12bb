// Ranks that must go the same way: one failure is everybody's, and one choice too.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/checkpoint/group.h"

namespace muster::rank {

// Every rank gives its status; all get ok, or the failure of the lowest failing rank, named. One
// line for people then comes from one rank: see SaidByAll.
absl::Status Agree(Group& group, const absl::Status& mine);
bool SaidByAll(const absl::Status& status);

// What rank 0 gave.
absl::StatusOr<std::string> FromFirst(Group& group, const std::string& text);

}  // namespace muster::rank
