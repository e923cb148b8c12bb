// What came of replays, for people and for programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/replay/fault_draw.h"
#include "sim/replay/replay.h"

namespace muster::sim::replay {

struct Plan {
  std::string faults;  // "trace", "llama3"
  bool correlated = false;
  uint32_t nodes = 0;  // with spares
  double per_node_day = 0;
  double worst_tenth = 0;
  Away away;
  Micros between_failures = 0;  // of the big job
};

struct Row {
  std::string policy;
  ReplayOptions options;
  ReplayResult result;
};

// Productive part of the job's wall time: by the replay's own book, and by the coordinator's
// ledger.
double Goodput(const ReplayResult& result);
double CoreGoodput(const ReplayResult& result);

// The tables: goodput and ledger side by side, outages, causes, spares, waits, the worst ten of the
// first row.
std::string ReportText(const Plan& plan, const std::vector<Row>& rows);
std::string ReportJson(const Plan& plan, const std::vector<Row>& rows);

// At least so much of `sorted` is not above it; 0 for none.
Micros Percentile(const std::vector<Micros>& sorted, double part);

}  // namespace muster::sim::replay
