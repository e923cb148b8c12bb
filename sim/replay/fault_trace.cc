#include "sim/replay/fault_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "common/status.h"

namespace muster::sim::replay {
namespace {

using Json = nlohmann::json;

struct Open {
  TraceFault fault;
  int depth = 0;  // faults of the node that overlap
};

struct Reading {
  FaultTrace trace;
  std::map<std::string, size_t> index;  // node id → place in trace.nodes
  std::map<size_t, Open> open;
  double newest_days = 0;
};

std::string TextOf(const Json& event, const char* key) {
  const auto type = event.find("fault_type");
  if (type == event.end() || !type->is_object()) return "";
  const auto found = type->find(key);
  return found != type->end() && found->is_string() ? found->get<std::string>() : "";
}

Micros AtDays(double days) { return static_cast<Micros>(days * static_cast<double>(kDay)); }

// Empty, or what is wrong with the event.
std::string TakeEvent(const Json& event, Reading& reading) {
  if (!event.is_object()) return "is not an object";
  const auto node = event.find("node_id");
  if (node == event.end() || !node->is_string()) return "has no node_id (a text)";
  const auto time = event.find("event_time");
  if (time == event.end() || !time->is_number()) return "has no event_time (days, a number)";
  const double days = time->get<double>();
  if (!(days >= 0 && days < 1e5)) return "has an event_time outside 0 … 100000 days";
  if (days < reading.newest_days) {
    return fmt::format("is at {} days, after one at {}: sort the file by event_time", days,
                       reading.newest_days);
  }
  reading.newest_days = days;
  const auto type = event.find("event_type");
  const std::string what = type != event.end() && type->is_string() ? type->get<std::string>() : "";
  const auto [found, added] =
      reading.index.try_emplace(node->get<std::string>(), reading.trace.nodes.size());
  if (added) reading.trace.nodes.emplace_back();
  const size_t at = found->second;
  if (what == "fault_start") {
    Open& open = reading.open[at];
    if (open.depth++ == 0) {
      open.fault = {AtDays(days), AtDays(days), TextOf(event, "Class"), TextOf(event, "Desc")};
    }
    return "";
  }
  if (what != "fault_end") return "has an event_type that is neither fault_start nor fault_end";
  const auto open = reading.open.find(at);
  if (open == reading.open.end()) return "ends a fault of a node that has none";
  if (--open->second.depth > 0) return "";
  open->second.fault.repaired = AtDays(days);
  reading.trace.nodes[at].push_back(std::move(open->second.fault));
  reading.open.erase(open);
  return "";
}

}  // namespace

double FaultTrace::FaultsPerNodeDay() const {
  if (nodes.empty() || span <= 0) return 0;
  return static_cast<double>(faults) / static_cast<double>(nodes.size()) /
         (static_cast<double>(span) / static_cast<double>(kDay));
}

double FaultTrace::WorstTenthShare() const {
  std::vector<uint64_t> counts;
  for (const auto& node : nodes) counts.push_back(node.size());
  return replay::WorstTenthShare(std::move(counts));
}

std::vector<Micros> FaultTrace::RepairTimes() const {
  std::vector<Micros> times;
  for (const auto& node : nodes) {
    for (const TraceFault& fault : node) {
      if (fault.repaired > fault.at) times.push_back(fault.repaired - fault.at);
    }
  }
  std::sort(times.begin(), times.end());
  return times;
}

double WorstTenthShare(std::vector<uint64_t> faults_per_node) {
  std::sort(faults_per_node.rbegin(), faults_per_node.rend());
  const auto all = std::accumulate(faults_per_node.begin(), faults_per_node.end(), uint64_t{0});
  if (all == 0) return 0;
  const size_t tenth = (faults_per_node.size() + 9) / 10;
  const auto worst =
      std::accumulate(faults_per_node.begin(),
                      faults_per_node.begin() + static_cast<std::ptrdiff_t>(tenth), uint64_t{0});
  return static_cast<double>(worst) / static_cast<double>(all);
}

absl::StatusOr<FaultTrace> ParseFaultTrace(const std::string& text, const std::string& name,
                                           uint32_t population) {
  Json file;
  try {
    file = Json::parse(text);
  } catch (const Json::parse_error& error) {
    const auto line =
        1 +
        std::count(text.begin(),
                   text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size())),
                   '\n');
    return InvalidArgument(
        "read fault trace: {}:{}: this is not JSON; get the file again, it may be cut short", name,
        line);
  }
  if (!file.is_array() || file.empty()) {
    return InvalidArgument(
        "read fault trace: {}:1: holds no array of events; see muster-sim trace --help for the "
        "format",
        name);
  }
  Reading reading;
  size_t number = 0;
  for (const Json& event : file) {
    ++number;
    if (std::string wrong = TakeEvent(event, reading); !wrong.empty()) {
      return InvalidArgument("read fault trace: {}: event {} of {} {}; mend it or leave it out",
                             name, number, file.size(), wrong);
    }
  }
  FaultTrace& trace = reading.trace;
  trace.span = AtDays(reading.newest_days);
  if (trace.span <= 0) {
    return InvalidArgument("read fault trace: {}: all events are at time 0; event_time is in days",
                           name);
  }
  for (auto& [at, open] : reading.open) {
    open.fault.repaired = trace.span;
    trace.nodes[at].push_back(std::move(open.fault));
  }
  if (population > 0 && trace.nodes.size() > population) {
    return InvalidArgument(
        "read fault trace: {} names {} nodes, more than the {} of --trace-nodes; give the size of "
        "the recorded cluster",
        name, trace.nodes.size(), population);
  }
  if (population > 0) trace.nodes.resize(population);
  for (const auto& node : trace.nodes) trace.faults += node.size();
  return std::move(trace);
}

absl::StatusOr<FaultTrace> ReadFaultTrace(const std::string& path, uint32_t population) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return NotFound(
        "read fault trace {}: no such file; get fault_trace.json of the public InfiniteHBD trace "
        "and name it with --trace, or draw faults with --faults llama3",
        path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseFaultTrace(text.str(), path, population);
}

}  // namespace muster::sim::replay
