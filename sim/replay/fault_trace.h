// A recorded fault trace: which node of a real cluster was out of service from when to when, and
// why.
//
// The file is a JSON array sorted by time, one event per entry:
//   {"node_id": "…", "event_time": 3.8955, "event_type": "fault_start" | "fault_end",
//    "fault_type": {"Level": "…", "Class": "…", "Desc": "…"}}
// with times in days. Faults of one node that overlap are one. A fault without an end lasts to the
// end of the trace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sim/agenda.h"
#include "sim/replay/fault.h"

namespace muster::sim::replay {

struct TraceFault {
  Micros at = 0;
  Micros repaired = 0;
  std::string kind;  // the trace's class: "GPU"
  std::string text;  // its description: "GPU xid Error"
};

struct FaultTrace {
  Micros span = 0;
  std::vector<std::vector<TraceFault>> nodes;  // with those that never failed; by time
  uint64_t faults = 0;

  double FaultsPerNodeDay() const;
  // Of the faults, so many hit the worst tenth of the nodes.
  double WorstTenthShare() const;
  // Those repaired after some time, in ascending order.
  std::vector<Micros> RepairTimes() const;
};

// `population`: nodes of the recorded cluster, hit or not; at least as many as the file names.
// Errors: kNotFound (no file, and how to get one), kInvalidArgument with the place in the file.
absl::StatusOr<FaultTrace> ReadFaultTrace(const std::string& path, uint32_t population);

// The same from text; `name` is for messages.
absl::StatusOr<FaultTrace> ParseFaultTrace(const std::string& text, const std::string& name,
                                           uint32_t population);

// How a fault of this description shows; `roll` in [0, 1) decides for descriptions that say
// nothing.
FaultKind KindOf(const TraceFault& fault, double roll);

double WorstTenthShare(std::vector<uint64_t> faults_per_node);

}  // namespace muster::sim::replay
