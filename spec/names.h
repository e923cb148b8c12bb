// Which texts can name things. One rule for the job file, the command line and the daemons.
//
// Errors: kInvalidArgument, one line with the name and what would do.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"

namespace muster::spec {

inline constexpr size_t kJobNameMax = 63;

// 1 to 63 of a-z 0-9 '-', a letter first, no '-' last.
absl::Status CheckJobName(const std::string& name);
absl::Status CheckQueueName(const std::string& name);

// 1 to 63 of A-Z a-z 0-9 . _ / -, a letter or digit first: names of labels, and taints.
absl::Status CheckLabelName(const std::string& name);
absl::Status CheckTaint(const std::string& taint);

// At most 255 bytes, no control characters; may be empty.
absl::Status CheckLabelValue(const std::string& value);

// A byte below 0x20, or 0x7f.
bool HasControlCharacter(const std::string& text);

}  // namespace muster::spec
