#include "cli/progress_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/time/time.h"
#include "cli/table.h"
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

std::string BarText(uint64_t done, uint64_t total) {
  constexpr uint64_t kWidth = 30;
  const double part =
      total == 0 ? 0.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<size_t>(part * kWidth);
  return fmt::format("[{}{}] {:3.0f} %  {} of {}", std::string(filled, '='),
                     std::string(kWidth - filled, ' '), part * 100, BytesText(done),
                     BytesText(total));
}

LiveLine::LiveLine(FILE* file) : file_(file), live_(isatty(fileno(file)) == 1) {}

LiveLine::~LiveLine() {
  if (shown_) fmt::print(file_, "\n");
}

void LiveLine::Show(const std::string& text) {
  if (!live_) return;
  winsize size{};
  const bool known = ioctl(fileno(file_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  const size_t columns = known ? size.ws_col - 1u : 79u;
  fmt::print(file_, "\r\033[K{}", Printable(text).substr(0, columns));
  std::fflush(file_);
  shown_ = true;
}

void LiveLine::Clear() {
  if (!shown_) return;
  fmt::print(file_, "\r\033[K");
  std::fflush(file_);
  shown_ = false;
}

}  // namespace muster::cli
