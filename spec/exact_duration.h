// Durations in job files: "4h", "1d12h", "1m30s", "1.5s". What is written reads back exactly.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <string>

#include "absl/status/statusor.h"

namespace muster::spec {

// The longest duration a job may state.
inline constexpr int64_t kDurationSecondsMax = int64_t{3650} * 24 * 3600;

// 0 to kDurationSecondsMax, nanoseconds included.
bool IsExactDuration(const google::protobuf::Duration& duration);

// Expects IsExactDuration.
std::string ExactDurationText(const google::protobuf::Duration& duration);

// For people: what is wrong with one that is to be `least_seconds` to `most_seconds` long, "5s;
// give 1m to 1h"; "" = nothing.
std::string OutsideText(const google::protobuf::Duration& duration, int64_t least_seconds,
                        int64_t most_seconds);

// Errors: kInvalidArgument, with examples of what would do.
absl::StatusOr<google::protobuf::Duration> ReadExactDuration(const std::string& text);

}  // namespace muster::spec
