#include "common/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace muster {

std::string BytesText(uint64_t bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string Printable(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
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

}  // namespace muster
