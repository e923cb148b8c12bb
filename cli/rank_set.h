// Ranks as people name them: "3", "0-3", "0-3,7".
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/statusor.h"

namespace muster::cli {

// "" gives the empty set (meaning all). Errors: kInvalidArgument for other text and for ranks at or
// above `count`.
absl::StatusOr<std::set<uint32_t>> ParseRankSet(const std::string& text, uint32_t count);

}  // namespace muster::cli
