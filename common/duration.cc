#include "common/duration.h"

#include <fmt/format.h>

#include <charconv>

#include "common/status.h"

namespace muster {
namespace {

absl::Status NotADuration(const std::string& text) {
  return InvalidArgument("\"{:.60}\" is not a duration; write 250ms, 90s, 5m, 1h30m or 1d12h",
                         text);
}

}  // namespace

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
  absl::Duration days;
  std::string rest = text;
  if (const size_t d = text.find('d'); d != std::string::npos) {
    int64_t count = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + d, count);
    if (d == 0 || d > 6 || error != std::errc() || stop != text.data() + d || count < 0) {
      return NotADuration(text);
    }
    days = absl::Hours(24 * count);
    rest = text.substr(d + 1);
  }
  absl::Duration duration;
  if (rest.empty() && rest.size() < text.size()) return days;
  if (!absl::ParseDuration(rest, &duration) || duration < absl::ZeroDuration()) {
    return NotADuration(text);
  }
  return days + duration;
}

}  // namespace muster
