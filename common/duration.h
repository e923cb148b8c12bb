// Durations for people: "1h 4m", "2.1 s", "350 ms"; parsed from "90s", "5m", "1h30m", "1d12h",
// "250ms".
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster {

std::string DurationText(absl::Duration duration);

// Errors: kInvalidArgument, with examples of what would do.
absl::StatusOr<absl::Duration> DurationFromText(const std::string& text);

}  // namespace muster
