#include "cli/incident_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/terminal.h"

namespace muster::cli {
namespace {

// Later evidence may show that an incident began earlier.
constexpr int64_t kSlackMs = 600'000;

bool IsOver(v1::IncidentState state) {
  return state == v1::INCIDENT_STATE_RESUMED || state == v1::INCIDENT_STATE_FAILED;
}

}  // namespace

std::vector<std::string> IncidentLines::Take(const v1::ListIncidentsResponse& incidents) {
  std::map<uint64_t, std::string> news;
  int64_t newest_ms = 0, open_ms = 0;
  for (const v1::Incident& one : incidents.incidents()) {
    newest_ms = std::max(newest_ms, one.time_unix_ms());
    if (!IsOver(one.state())) {
      open_ms = open_ms == 0 ? one.time_unix_ms() : std::min(open_ms, one.time_unix_ms());
    }
    const auto [told, added] = told_.try_emplace(one.id(), one.state());
    const bool changed = told->second != one.state();
    told->second = one.state();
    const bool of_old = !looked_ && IsOver(one.state());
    const bool goes_on = changed && one.state() == v1::INCIDENT_STATE_OPEN;
    if ((!added && !changed) || of_old || goes_on) continue;
    news[one.id()] = fmt::format("incident {}: {}", one.id(), Printable(one.text()));
  }
  looked_ = true;
  const int64_t from_ms = open_ms != 0 ? open_ms : newest_ms;
  since_unix_ms_ = std::max(since_unix_ms_, from_ms - kSlackMs);
  std::vector<std::string> lines;
  for (auto& [id, line] : news) lines.push_back(std::move(line));
  return lines;
}

}  // namespace muster::cli
