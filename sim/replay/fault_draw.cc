#include "sim/replay/fault_draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "common/check.h"

namespace muster::sim::replay {
namespace {

void SortFaults(std::vector<Fault>& faults) {
  std::sort(faults.begin(), faults.end(), [](const Fault& a, const Fault& b) {
    return std::tie(a.at, a.node, a.repaired) < std::tie(b.at, b.node, b.repaired);
  });
}

template <typename T>
void Shuffle(std::vector<T>& all, Random& dice) {
  for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[dice.Below(i)]);
}

// Which recorded node each of ours is a copy of.
std::vector<uint32_t> Copies(size_t recorded, uint32_t nodes, Random& dice) {
  std::vector<uint32_t> chosen;
  std::vector<uint32_t> round(recorded);
  for (uint32_t i = 0; i < recorded; ++i) round[i] = i;
  while (chosen.size() < nodes) {
    Shuffle(round, dice);
    const size_t count = std::min<size_t>(recorded, nodes - chosen.size());
    chosen.insert(chosen.end(), round.begin(), round.begin() + static_cast<std::ptrdiff_t>(count));
  }
  Shuffle(chosen, dice);
  return chosen;
}

struct Llama3Cause {
  const char* text;
  int count;
  FaultKind kind;
  bool machine;  // the node needs repair
};

constexpr std::array<Llama3Cause, 17> kLlama3 = {{
    {"faulty GPU", 148, FaultKind::kRankDies, true},
    {"GPU memory (HBM)", 72, FaultKind::kRankDies, true},
    {"software", 54, FaultKind::kRankDies, false},
    {"network switch or cable", 35, FaultKind::kHang, true},
    {"host maintenance", 32, FaultKind::kNodeGone, true},
    {"GPU SRAM", 19, FaultKind::kRankDies, true},
    {"GPU system processor", 17, FaultKind::kRankDies, true},
    {"NIC", 7, FaultKind::kHang, true},
    {"NCCL watchdog", 7, FaultKind::kHang, false},
    {"silent data corruption", 6, FaultKind::kRankDies, true},
    {"GPU thermal", 6, FaultKind::kRankDies, true},
    {"SSD", 3, FaultKind::kRankDies, true},
    {"power supply", 3, FaultKind::kNodeGone, true},
    {"chassis", 2, FaultKind::kNodeGone, true},
    {"IO board", 2, FaultKind::kNodeGone, true},
    {"CPU", 2, FaultKind::kNodeGone, true},
    {"system memory", 2, FaultKind::kNodeGone, true},
}};

constexpr double kLlama3PerNodeDay = 419.0 / 54.0 / 2048.0;
constexpr double kRepairMedianDays = 0.85;
constexpr double kRepairMeanDays = 5.5;

double Normal(Random& dice) {  // Box-Muller
  const double u = 1.0 - dice.Unit();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * M_PI * dice.Unit());
}

Micros DrawRepair(Random& dice) {
  const double sigma = std::sqrt(2.0 * std::log(kRepairMeanDays / kRepairMedianDays));
  const double days = kRepairMedianDays * std::exp(sigma * Normal(dice));
  return static_cast<Micros>(std::min(days, 365.0) * static_cast<double>(kDay));
}

const Llama3Cause& DrawCause(Random& dice) {
  int all = 0;
  for (const Llama3Cause& cause : kLlama3) all += cause.count;
  int left = static_cast<int>(dice.Below(static_cast<uint64_t>(all)));
  for (const Llama3Cause& cause : kLlama3) {
    left -= cause.count;
    if (left < 0) return cause;
  }
  return kLlama3.back();
}

void DrawGroups(std::vector<Fault>& out, uint32_t size, Micros every, Micros lasts,
                const std::string& what, uint32_t nodes, Micros span, Random& dice) {
  if (size == 0 || every <= 0) return;
  for (uint32_t first = 0; first < nodes; first += size) {
    for (Micros at = dice.Exponential(every); at < span; at += dice.Exponential(every)) {
      for (uint32_t node = first; node < std::min(nodes, first + size); ++node) {
        out.push_back({at, at + lasts, node, FaultKind::kNodeGone,
                       fmt::format("{} {}", what, first / size + 1)});
      }
    }
  }
}

}  // namespace

std::vector<Fault> ScaleTrace(const FaultTrace& trace, uint32_t nodes, Micros span, Random dice) {
  CHECK(span <= trace.span && !trace.nodes.empty(), "a trace of {} us is asked for {} us",
        trace.span, span);
  const std::vector<uint32_t> copy_of = Copies(trace.nodes.size(), nodes, dice);
  std::vector<Fault> faults;
  for (uint32_t node = 0; node < nodes; ++node) {
    const Micros turn = static_cast<Micros>(dice.Below(static_cast<uint64_t>(trace.span)));
    for (const TraceFault& recorded : trace.nodes[copy_of[node]]) {
      const FaultKind kind = KindOf(recorded, dice.Unit());
      const std::string cause =
          recorded.kind == recorded.text ? recorded.text : recorded.kind + ": " + recorded.text;
      const Micros at = (recorded.at + turn) % trace.span;
      const Micros repaired = at + (recorded.repaired - recorded.at);
      if (at < span) faults.push_back({at, repaired, node, kind, cause});
      if (repaired > trace.span) faults.push_back({0, repaired - trace.span, node, kind, cause});
    }
  }
  return Merged(std::move(faults));
}

std::vector<Fault> DrawLlama3(uint32_t nodes, Micros span, Random dice) {
  const double per_us = kLlama3PerNodeDay * static_cast<double>(nodes) / static_cast<double>(kDay);
  const auto mean = static_cast<int64_t>(1.0 / per_us);
  std::vector<Fault> faults;
  for (Micros at = dice.Exponential(mean); at < span; at += dice.Exponential(mean)) {
    const Llama3Cause& cause = DrawCause(dice);
    const Micros away = cause.machine ? DrawRepair(dice) : 0;
    faults.push_back(
        {at, at + away, static_cast<uint32_t>(dice.Below(nodes)), cause.kind, cause.text});
  }
  return Merged(std::move(faults));
}

std::vector<Fault> DrawCorrelated(const Correlated& how, uint32_t nodes, Micros span, Random dice) {
  std::vector<Fault> faults;
  DrawGroups(faults, how.rack, how.rack_power_every, how.rack_power_for, "power of rack", nodes,
             span, dice);
  DrawGroups(faults, how.under_switch, how.switch_every, how.switch_for, "switch", nodes, span,
             dice);
  return Merged(std::move(faults));
}

std::vector<Fault> Merged(std::vector<Fault> faults) {
  SortFaults(faults);
  std::map<uint32_t, size_t> newest;  // of each node, in `kept`
  std::vector<Fault> kept;
  for (Fault& fault : faults) {
    const auto [found, first] = newest.try_emplace(fault.node, kept.size());
    if (!first && fault.at <= kept[found->second].repaired) {
      Fault& before = kept[found->second];
      before.repaired = std::max(before.repaired, fault.repaired);
      continue;
    }
    found->second = kept.size();
    kept.push_back(std::move(fault));
  }
  return kept;
}

Away CountAway(const std::vector<Fault>& faults, Micros span) {
  std::map<Micros, int> changes;
  for (const Fault& fault : faults) {
    if (fault.repaired <= fault.at || fault.at >= span) continue;
    ++changes[fault.at];
    --changes[std::min(fault.repaired, span)];
  }
  std::vector<Micros> lasted;
  size_t away = 0;
  Micros since = 0;
  const auto add = [&](Micros until) {
    if (lasted.size() <= away) lasted.resize(away + 1);
    lasted[away] += until - since;
    since = until;
  };
  for (const auto& [at, change] : changes) {
    add(at);
    away = static_cast<size_t>(static_cast<int64_t>(away) + change);
  }
  add(span);
  Away result;
  double sum = 0;
  bool half = false, nearly = false;
  for (size_t i = 0; i < lasted.size(); ++i) {
    const double share = static_cast<double>(lasted[i]) / static_cast<double>(span);
    result.share.push_back(share);
    result.mean += share * static_cast<double>(i);
    sum += share;
    if (!half && sum >= 0.5) half = true, result.p50 = static_cast<uint32_t>(i);
    if (!nearly && sum >= 0.99) nearly = true, result.p99 = static_cast<uint32_t>(i);
    if (lasted[i] > 0) result.max = static_cast<uint32_t>(i);
  }
  return result;
}

uint32_t Away::SparesFor(double short_share) const {
  double beyond = 0;
  for (size_t i = share.size(); i > 0; --i) {
    beyond += share[i - 1];
    if (beyond > short_share) return static_cast<uint32_t>(i - 1);
  }
  return 0;
}

}  // namespace muster::sim::replay
