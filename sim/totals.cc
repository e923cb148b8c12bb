#include "sim/totals.h"

#include <fmt/format.h>

#include <sstream>

namespace muster::sim {
namespace {

using Counts = std::map<std::string, uint64_t>;

void AddTo(Counts& sum, const Counts& more) {
  for (const auto& [name, count] : more) sum[name] += count;
}

std::string CountsText(const Counts& counts) {
  if (counts.empty()) return " none";
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("  {} {}", name, count);
  return text;
}

}  // namespace

void Totals::Add(const Totals& other) {
  seeds += other.seeds;
  seeds_twice += other.seeds_twice;
  events += other.events;
  simulated += other.simulated;
  records += other.records;
  AddTo(faults, other.faults);
  AddTo(requests, other.requests);
  AddTo(ends, other.ends);
}

std::string Totals::Serialized() const {
  std::string text =
      fmt::format("n {} {} {} {} {}\n", seeds, seeds_twice, events, simulated, records);
  for (const auto& [name, count] : faults) text += fmt::format("f {} {}\n", name, count);
  for (const auto& [name, count] : requests) text += fmt::format("r {} {}\n", name, count);
  for (const auto& [name, count] : ends) text += fmt::format("e {} {}\n", name, count);
  return text;
}

Totals Totals::Parsed(const std::string& text) {
  Totals totals;
  std::istringstream in(text);
  std::string kind, name;
  while (in >> kind) {
    if (kind == "n") {
      in >> totals.seeds >> totals.seeds_twice >> totals.events >> totals.simulated >>
          totals.records;
      continue;
    }
    Counts& counts = kind == "f" ? totals.faults : kind == "r" ? totals.requests : totals.ends;
    in >> name;
    in >> counts[name];
  }
  return totals;
}

std::string Totals::Text(double wall_seconds) const {
  constexpr double kYear = 365.25 * 24 * 3600;
  const double simulated_seconds = static_cast<double>(simulated) / kSecond;
  const double speed = wall_seconds > 0 ? simulated_seconds / wall_seconds : 0;
  return fmt::format(
      "seeds      {} ({} of them twice, with the same hash)\n"
      "simulated  {:.4f} years ({:.0f} s), {} events, {} records\n"
      "wall       {:.1f} s, {:.0f} x real time, {:.0f} events/s\n"
      "faults    {}\nrequests  {}\njobs      {}\n",
      seeds, seeds_twice, simulated_seconds / kYear, simulated_seconds, events, records,
      wall_seconds, speed, wall_seconds > 0 ? static_cast<double>(events) / wall_seconds : 0,
      CountsText(faults), CountsText(requests), CountsText(ends));
}

}  // namespace muster::sim
