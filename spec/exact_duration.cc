#include "spec/exact_duration.h"

#include <fmt/format.h>

#include "common/duration.h"
#include "common/status.h"

namespace muster::spec {
namespace {

constexpr int64_t kDaySeconds = 86'400;

}  // namespace

bool IsExactDuration(const google::protobuf::Duration& duration) {
  return duration.seconds() >= 0 && duration.nanos() >= 0 && duration.nanos() < 1'000'000'000 &&
         (duration.seconds() < kDurationSecondsMax ||
          (duration.seconds() == kDurationSecondsMax && duration.nanos() == 0));
}

std::string ExactDurationText(const google::protobuf::Duration& duration) {
  int64_t rest = duration.seconds();
  std::string text;
  const auto take = [&](int64_t unit, const char* letter) {
    if (rest >= unit) text += fmt::format("{}{}", rest / unit, letter);
    rest %= unit;
  };
  take(kDaySeconds, "d");
  take(3600, "h");
  take(60, "m");
  if (duration.nanos() != 0) {
    std::string fraction = fmt::format("{:09}", duration.nanos());
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fmt::format("{}.{}s", rest, fraction);
  } else if (rest > 0 || text.empty()) {
    text += fmt::format("{}s", rest);
  }
  return text;
}

std::string OutsideText(const google::protobuf::Duration& duration, int64_t least_seconds,
                        int64_t most_seconds) {
  google::protobuf::Duration least;
  least.set_seconds(least_seconds);
  google::protobuf::Duration most;
  most.set_seconds(most_seconds);
  const bool exact = IsExactDuration(duration);
  if (exact && duration.seconds() >= least_seconds &&
      (duration.seconds() < most_seconds ||
       (duration.seconds() == most_seconds && duration.nanos() == 0))) {
    return "";
  }
  return fmt::format("{}; give {} to {}", exact ? ExactDurationText(duration) : "not a duration",
                     ExactDurationText(least), ExactDurationText(most));
}

absl::StatusOr<google::protobuf::Duration> ReadExactDuration(const std::string& text) {
  MUSTER_ASSIGN_OR_RETURN(const absl::Duration read, DurationFromText(text));
  if (read > absl::Seconds(kDurationSecondsMax)) {
    return InvalidArgument("\"{:.60}\" is longer than {} days", text,
                           kDurationSecondsMax / kDaySeconds);
  }
  absl::Duration rest = read;
  google::protobuf::Duration duration;
  duration.set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
  duration.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return duration;
}

}  // namespace muster::spec
