#include "common/duration.h"

#include <fmt/format.h>

#include "common/status.h"

namespace muster {

std::string DurationText(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return "-" + DurationText(-duration);
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto total = absl::ToInt64Seconds(duration);
  const int64_t minutes = total / 60;
  const int64_t hours = minutes / 60;
  if (hours == 0) return fmt::format("{}m {:02}s", minutes, total % 60);
  if (hours < 48) return fmt::format("{}h {:02}m", hours, minutes % 60);
  return fmt::format("{}d {}h", hours / 24, hours % 24);
}

absl::StatusOr<absl::Duration> DurationFromText(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration()) {
    return InvalidArgument("\"{}\" is not a duration; write 250ms, 90s, 5m or 1h30m", text);
  }
  return duration;
}

}  // namespace muster
