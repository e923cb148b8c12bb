#include "cli/progress_line.h"

#include <fmt/format.h>

#include "absl/time/time.h"
#include "common/duration.h"
#include "spec/enum_word.h"

namespace muster::cli {

std::string CountText(double value) {
  if (value < 1e3) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.1f}k", value / 1e3);
  if (value < 1e9) return fmt::format("{:.1f}M", value / 1e6);
  return fmt::format("{:.1f}G", value / 1e9);
}

std::string ProgressText(const v1::Progress& progress) {
  std::string text = fmt::format("step {}/{}", progress.step(), progress.target_steps());
  if (progress.step() > progress.first_step()) {
    text += fmt::format("  loss {:.4f}", progress.loss());
  }
  if (progress.tokens_per_second() > 0) {
    text += fmt::format("  {} tokens/s", CountText(progress.tokens_per_second()));
  }
  if (progress.step_seconds() > 0 && progress.target_steps() > progress.step()) {
    const auto left = static_cast<double>(progress.target_steps() - progress.step());
    text += fmt::format("  eta {}", DurationText(absl::Seconds(left * progress.step_seconds())));
  }
  if (progress.phase() != v1::PHASE_STEP && progress.phase() != v1::PHASE_UNSPECIFIED) {
    text += fmt::format("  ({})", spec::EnumWord(progress.phase()));
  }
  return text;
}

}  // namespace muster::cli
