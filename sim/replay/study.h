// One question about a cluster: which faults, which policies, side by side.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sim/replay/report.h"

namespace muster::sim::replay {

struct StudyOptions {
  std::string trace = "../shared/data/infinitehbd/fault_trace.json";
  std::string costs = "configs/recovery-costs.yaml";
  std::string faults = "trace";  // or "llama3"
  uint32_t trace_nodes = 400;
  bool correlated = false;
  uint64_t seed = 1;
  double days = 0;  // 0 = as long as the trace
  uint32_t nodes = 1875;
  int64_t spares = -1;  // -1 = recommended
  Micros interval = 0;  // 0 = the costs' own, or Young/Daly
  uint32_t shrink_to = 0;
  bool hold_spares = true;
  double small_load = 0.5;  // part of the idle spares that small jobs use
  bool stock = true;        // the stock policy beside it
  uint32_t picture_bins = 0;
};

struct Study {
  StudyOptions options;
  RecoveryCosts costs;
  FaultTrace trace;  // empty when faults are drawn from a table
  Micros span = 0;
  Plan plan;
  std::vector<Fault> faults;  // of nodes + spares
  uint32_t spares = 0;
};

// With at most this part of the time short of nodes: what "recommended" spares are.
inline constexpr double kShortShare = 0.0005;

// Errors: of the files; kInvalidArgument for options that make no sense.
absl::StatusOr<Study> PrepareStudy(const StudyOptions& options);

// The same study with other spares. A node that both have suffers the same.
void SetSpares(Study& study, uint32_t spares);

Row RunMuster(const Study& study);
Row RunStock(const Study& study);

}  // namespace muster::sim::replay
