#include "sim/replay/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace muster::sim::replay {
namespace {

constexpr double kLeft = 70, kWidth = 900, kTop = 60, kCurve = 110, kBars = 50, kGap = 28;
constexpr double kRow = 2.5;

struct Shade {
  const char* name;
  const char* colour;
};
constexpr std::array<Shade, 6> kShades = {{{"working", "#2f7d4f"},
                                           {"spare", "#c9d6e3"},
                                           {"quarantined", "#e0a526"},
                                           {"down: a few of the row", "#e79a8d"},
                                           {"down: some", "#d2553f"},
                                           {"down: half and more", "#8e1b10"}}};

// What a cell looks like: an index into kShades.
size_t ShadeOf(const Picture& picture, uint32_t row, uint32_t bin) {
  const double down = picture.Share(row, bin, NodeUse::kDown);
  if (down >= 0.5) return 5;
  if (down >= 0.2) return 4;
  if (picture.Share(row, bin, NodeUse::kQuarantined) >= 0.05) return 2;
  if (down >= 0.05) return 3;
  return picture.Share(row, bin, NodeUse::kSpare) >= 0.5 ? 1 : 0;
}

class Drawing {
 public:
  template <typename... Args>
  void Add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  void Label(double x, double y, const std::string& label, const char* anchor = "start") {
    Add(R"(<text x="{:.0f}" y="{:.0f}" text-anchor="{}">{}</text>)", x, y, anchor, label);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

double X(const Picture& picture, double bin) { return kLeft + kWidth * bin / picture.bins(); }

void DrawCurve(Drawing& drawing, const Row& row) {
  const Picture& picture = row.result.picture;
  const std::vector<Micros>& bins = row.result.jobs.at(1).book.productive_bins();
  constexpr double kLowest = 0.9;  // goodput at the foot of the curve
  std::string points;
  for (uint32_t bin = 0; bin < picture.bins(); ++bin) {
    const Micros begin = static_cast<Micros>(bin) * picture.bin();
    const Micros length = std::min(picture.bin(), picture.span() - begin);
    if (length <= 0) break;
    const double goodput =
        bin < bins.size() ? static_cast<double>(bins[bin]) / static_cast<double>(length) : 0.0;
    const double height = std::clamp((goodput - kLowest) / (1 - kLowest), 0.0, 1.0);
    points += fmt::format("{:.1f},{:.1f} ", X(picture, bin + 0.5), kTop + kCurve * (1 - height));
  }
  for (const double mark : {1.0, 0.99, 0.95, 0.9}) {
    const double y = kTop + kCurve * (1 - (mark - kLowest) / (1 - kLowest));
    drawing.Add(R"(<path d="M{} {:.1f}h{}" stroke="#ddd"/>)", kLeft, y, kWidth);
    drawing.Label(kLeft - 6, y + 4, fmt::format("{:.0f} %", 100 * mark), "end");
  }
  drawing.Add(R"(<polyline points="{}" fill="none" stroke="#1b5fa8"/>)", points);
}

void DrawIncidents(Drawing& drawing, const Picture& picture, double top) {
  const uint32_t most =
      std::max(1u, *std::max_element(picture.incidents().begin(), picture.incidents().end()));
  std::string bars;
  for (uint32_t bin = 0; bin < picture.bins(); ++bin) {
    const double height = kBars * picture.incidents()[bin] / most;
    if (height > 0)
      bars += fmt::format("M{:.1f} {:.1f}v-{:.1f}", X(picture, bin + 0.5), top + kBars, height);
  }
  drawing.Add(R"(<path d="{}" stroke="#555" stroke-width="{:.1f}"/>)", bars,
              0.8 * kWidth / picture.bins());
  drawing.Label(kLeft - 6, top + 10, fmt::format("{}", most), "end");
  std::string longs;
  for (const Micros at : picture.long_ones()) {
    longs += fmt::format("M{:.1f} {:.1f}v6",
                         X(picture, static_cast<double>(at) / static_cast<double>(picture.bin())),
                         top + kBars + 2);
  }
  if (!longs.empty()) drawing.Add(R"(<path d="{}" stroke="#b00" stroke-width="1.5"/>)", longs);
}

void DrawNodes(Drawing& drawing, const Picture& picture, double top) {
  const double height = kRow * picture.rows();
  drawing.Add(R"(<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" fill="{}"/>)", kLeft, top,
              kWidth, height, kShades[0].colour);
  std::array<std::string, kShades.size()> paths;
  for (uint32_t row = 0; row < picture.rows(); ++row) {
    for (uint32_t bin = 0; bin < picture.bins();) {
      const size_t shade = ShadeOf(picture, row, bin);
      uint32_t end = bin + 1;
      while (end < picture.bins() && ShadeOf(picture, row, end) == shade) ++end;
      if (shade != 0) {
        paths[shade] +=
            fmt::format("M{:.1f} {:.2f}h{:.1f}", X(picture, bin), top + kRow * (row + 0.5),
                        kWidth * (end - bin) / picture.bins());
      }
      bin = end;
    }
  }
  for (size_t i = 1; i < kShades.size(); ++i) {
    if (paths[i].empty()) continue;
    drawing.Add(R"(<path d="{}" stroke="{}" stroke-width="{}"/>)", paths[i], kShades[i].colour,
                kRow);
  }
  drawing.Label(kLeft - 6, top + 10, "n1", "end");
  drawing.Label(kLeft - 6, top + height, fmt::format("n{}", picture.nodes()), "end");
  double x = kLeft;
  for (const Shade& shade : kShades) {
    drawing.Add(R"(<rect x="{:.0f}" y="{:.0f}" width="10" height="10" fill="{}"/>)", x,
                top + height + 30, shade.colour);
    drawing.Label(x + 14, top + height + 39, shade.name);
    x += 150;
  }
}

}  // namespace

std::string DrawSvg(const Plan& plan, const Row& row) {
  const Picture& picture = row.result.picture;
  const double incidents = kTop + kCurve + kGap;
  const double nodes = incidents + kBars + kGap;
  const double days = static_cast<double>(picture.span()) / static_cast<double>(kDay);
  const double bottom = nodes + kRow * picture.rows();
  Drawing drawing;
  drawing.Add(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {:.0f}" font-family="sans-serif" font-size="12">)",
      bottom + 50);
  drawing.Add(R"(<rect width="100%" height="100%" fill="#fff"/>)");
  drawing.Label(
      kLeft, 20,
      fmt::format("{} GPUs on {} nodes + {} spares, {:.0f} days of faults ({}), {}: goodput "
                  "{:.2f} %",
                  row.options.big.nodes * kSlots, row.options.big.nodes, row.options.big.spares,
                  days, plan.faults, row.policy, 100 * Goodput(row.result)));
  drawing.Label(kLeft, kTop - 10, "goodput");
  DrawCurve(drawing, row);
  drawing.Label(kLeft, incidents - 6, "incidents of the job (red: stood still for over 10 min)");
  DrawIncidents(drawing, picture, incidents);
  drawing.Label(kLeft, nodes - 6, "nodes");
  DrawNodes(drawing, picture, nodes);
  for (int part = 0; part <= 4; ++part) {
    drawing.Label(kLeft + kWidth * part / 4, bottom + 16,
                  fmt::format("day {:.0f}", days * part / 4), "middle");
  }
  drawing.Add("</svg>");
  return drawing.Take();
}

}  // namespace muster::sim::replay
