// Log setup shared by the daemons: one line per event to stderr, UTC, level, program.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace muster {

// Level: trace, debug, info, warn, error. Call once, in main.
absl::Status SetUpLog(const std::string& program, const std::string& level);

}  // namespace muster
