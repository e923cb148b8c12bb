#include "coordinator/core/correlation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

namespace muster::coordinator::core {
namespace {

struct Level {
  const char* name;
  const std::string& (*of)(const v1::Location& location);
};

// Smallest first.
const std::array<Level, 3> kLevels = {{
    {"nvlink segment", [](const v1::Location& at) -> const std::string& { return at.nvlink(); }},
    {"rack", [](const v1::Location& at) -> const std::string& { return at.rack(); }},
    {"pod", [](const v1::Location& at) -> const std::string& { return at.pod(); }},
}};

struct Domain {
  const Level* level;
  std::string name;

  bool Holds(const Node& node) const { return level->of(node.location) == name; }
};

int64_t WindowMs(const ClusterState& state) {
  return absl::ToInt64Milliseconds(state.options.correlate_within);
}

// The domains with `node` in them of which most is down, smallest first. `down` says yes, no, or
// "does not count".
std::vector<Domain> LostDomains(const ClusterState& state, const Node& node,
                                const std::function<std::optional<bool>(const Node&)>& down) {
  std::vector<Domain> domains;
  for (const Level& level : kLevels) {
    const Domain domain{&level, level.of(node.location)};
    if (domain.name.empty()) continue;
    size_t lost = 0, all = 0;
    for (const auto& [name, other] : state.nodes.all()) {
      if (!domain.Holds(other)) continue;
      const std::optional<bool> is_down = down(other);
      if (!is_down) continue;
      ++all;
      if (*is_down) ++lost;
    }
    if (lost >= 2 && 2 * lost > all) domains.push_back(domain);
  }
  return domains;
}

bool HoldsAll(const ClusterState& state, const Domain& domain, const std::set<std::string>& nodes) {
  return std::all_of(nodes.begin(), nodes.end(), [&](const std::string& name) {
    return domain.Holds(*state.nodes.Find(NodeId(name)));
  });
}

bool LossIsRecent(const ClusterState& state, const IncidentEntry& entry, int64_t now_ms) {
  return !entry.lost.empty() && now_ms - entry.opened_ms <= WindowMs(state);
}

}  // namespace

uint64_t IncidentOfLostNode(const ClusterState& state, const NodeId& name) {
  const int64_t now_ms = absl::ToUnixMillis(state.now);
  std::vector<const IncidentEntry*> recent;
  for (const uint64_t id : state.incidents.open()) {
    const IncidentEntry* entry = state.incidents.Find(id);
    if (!LossIsRecent(state, *entry, now_ms)) continue;
    if (entry->lost.count(name.value()) > 0) return id;
    recent.push_back(entry);
  }
  if (recent.empty()) return 0;
  const auto down = [&](const Node& node) -> std::optional<bool> {
    if (!node.dead) return node.liveness.state == v1::NODE_STATE_SUSPECT;
    if (now_ms - node.dead_unix_ms > WindowMs(state)) return std::nullopt;
    return true;
  };
  for (const Domain& domain : LostDomains(state, *state.nodes.Find(name), down)) {
    for (const IncidentEntry* entry : recent) {
      for (const std::string& lost : entry->lost) {
        if (domain.Holds(*state.nodes.Find(NodeId(lost)))) return entry->facts.id();
      }
    }
  }
  return 0;
}

void NameDomain(const ClusterState& state, IncidentEntry& entry) {
  if (entry.lost.empty()) return;
  const auto down = [&](const Node& node) -> std::optional<bool> {
    if (!node.dead) return false;
    if (node.dead_unix_ms < entry.opened_ms - WindowMs(state)) return std::nullopt;
    return true;
  };
  const Node& first = *state.nodes.Find(NodeId(*entry.lost.begin()));
  const std::vector<Domain> domains = LostDomains(state, first, down);
  const auto domain = std::find_if(domains.begin(), domains.end(), [&](const Domain& one) {
    return HoldsAll(state, one, entry.lost);
  });
  if (domain == domains.end()) return;
  entry.facts.set_domain(fmt::format("{} {}", domain->level->name, domain->name));
  for (const auto& [name, node] : state.nodes.all()) {
    if (!domain->Holds(node) || down(node) != std::optional<bool>(true)) continue;
    if (entry.lost.insert(name.value()).second &&
        std::find(entry.facts.nodes().begin(), entry.facts.nodes().end(), name.value()) ==
            entry.facts.nodes().end()) {
      entry.facts.add_nodes(name.value());
    }
  }
}

std::vector<uint64_t> AddToDomains(ClusterState& state, const NodeId& name, int64_t now_ms) {
  std::vector<uint64_t> changed;
  for (const uint64_t id : std::set<uint64_t>(state.incidents.open())) {
    IncidentEntry& entry = *state.incidents.Find(id);
    if (!LossIsRecent(state, entry, now_ms) || entry.lost.count(name.value()) > 0) continue;
    NameDomain(state, entry);
    if (entry.lost.count(name.value()) > 0) changed.push_back(id);
  }
  return changed;
}

}  // namespace muster::coordinator::core
