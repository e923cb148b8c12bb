#include "sim/replay/study.h"

#include <algorithm>
#include <utility>

#include "common/status.h"

namespace muster::sim::replay {
namespace {

constexpr uint32_t kNodesMax = 1'000'000;

// Faults are drawn for more nodes than there are, so that they do not depend on the spares.
uint32_t DrawnNodes(const StudyOptions& options, uint32_t spares) {
  return options.nodes + std::max(options.nodes / 8 + 64, spares);
}

std::vector<Fault> Draw(const Study& study, uint32_t spares) {
  const StudyOptions& options = study.options;
  const uint32_t nodes = DrawnNodes(options, spares);
  std::vector<Fault> faults =
      options.faults == "llama3"
          ? DrawLlama3(nodes, study.span, Random(options.seed, 1))
          : ScaleTrace(study.trace, nodes, study.span, Random(options.seed, 1));
  if (options.correlated) {
    const std::vector<Fault> more =
        DrawCorrelated(Correlated(), nodes, study.span, Random(options.seed, 2));
    faults.insert(faults.end(), more.begin(), more.end());
    faults = Merged(std::move(faults));
  }
  std::erase_if(faults, [&](const Fault& fault) { return fault.node >= options.nodes + spares; });
  return faults;
}

void FillPlan(Study& study) {
  Plan& plan = study.plan;
  plan.faults = study.options.faults;
  plan.correlated = study.options.correlated;
  plan.nodes = study.options.nodes + study.spares;
  std::vector<uint64_t> counts(plan.nodes);
  uint64_t new_ones = 0;
  for (const Fault& fault : study.faults) {
    if (fault.at == 0) continue;
    ++counts[fault.node];
    ++new_ones;
  }
  const double days = static_cast<double>(study.span) / static_cast<double>(kDay);
  plan.per_node_day = static_cast<double>(new_ones) / days / plan.nodes;
  plan.worst_tenth = WorstTenthShare(std::move(counts));
  plan.away = CountAway(study.faults, study.span);
  const double per_day = plan.per_node_day * study.options.nodes;
  plan.between_failures =
      per_day > 0 ? static_cast<Micros>(static_cast<double>(kDay) / per_day) : study.span;
}

ReplayOptions OptionsOf(const Study& study) {
  ReplayOptions options;
  options.seed = study.options.seed;
  options.span = study.span;
  options.big.nodes = study.options.nodes;
  options.big.spares = study.spares;
  options.big.shrink_to = study.options.shrink_to;
  options.big.hold_spares = study.options.hold_spares;
  // Small jobs that use about `small_load` of the spares that are not needed on average.
  const double idle = std::max(0.0, study.spares - study.plan.away.mean);
  options.small.nodes_max = std::clamp(study.spares / 8, 1u, 8u);
  const double nodes = (1.0 + options.small.nodes_max) / 2;
  const double at_once = study.options.small_load * idle / nodes;
  options.small.every =
      at_once > 0 ? static_cast<Micros>(static_cast<double>(options.small.runs_mean) / at_once) : 0;
  options.costs = study.costs;
  options.picture_bins = study.options.picture_bins;
  return options;
}

}  // namespace

absl::StatusOr<Study> PrepareStudy(const StudyOptions& options) {
  Study study;
  study.options = options;
  MUSTER_ASSIGN_OR_RETURN(study.costs, ReadRecoveryCosts(options.costs));
  if (options.faults != "trace" && options.faults != "llama3") {
    return InvalidArgument("replay: there are no faults \"{}\"; take trace or llama3",
                           options.faults);
  }
  if (options.nodes < 1 || options.nodes > kNodesMax) {
    return InvalidArgument("replay: {} nodes; take 1 to {}", options.nodes, kNodesMax);
  }
  BigJob big;
  big.nodes = options.nodes;
  big.shrink_to = options.shrink_to;
  MUSTER_RETURN_IF_ERROR(
      Annotate(ValidateBigJob(big), fmt::format("replay: --shrink-to {}", options.shrink_to)));
  const auto asked = static_cast<Micros>(options.days * static_cast<double>(kDay));
  if (options.faults == "trace") {
    MUSTER_ASSIGN_OR_RETURN(study.trace, ReadFaultTrace(options.trace, options.trace_nodes));
    if (asked > study.trace.span) {
      return InvalidArgument("replay: {} has {:.0f} days, --days asks for {:.0f}; ask for less",
                             options.trace, static_cast<double>(study.trace.span) / kDay,
                             options.days);
    }
    study.span = asked > 0 ? asked : study.trace.span;
  } else {
    study.span = asked > 0 ? asked : 348 * kDay;
  }
  if (options.spares >= 0) {
    SetSpares(study, static_cast<uint32_t>(options.spares));
    return study;
  }
  // The spares fail, too.
  uint32_t spares = 0;
  for (int round = 0; round < 3; ++round) {
    spares = CountAway(Draw(study, spares), study.span).SparesFor(kShortShare);
  }
  SetSpares(study, spares);
  return study;
}

void SetSpares(Study& study, uint32_t spares) {
  study.spares = spares;
  study.faults = Draw(study, spares);
  FillPlan(study);
}

Row RunMuster(const Study& study) {
  Row row{"muster", OptionsOf(study), {}};
  row.options.interval = study.options.interval > 0 ? study.options.interval : study.costs.interval;
  if (row.options.interval == 0) {
    row.options.interval =
        std::max(study.costs.step,
                 YoungDaly(study.costs.Stall(study.options.nodes), study.plan.between_failures));
  }
  row.result = Replay(row.options, study.faults).Run();
  return row;
}

Row RunStock(const Study& study) {
  Row row{"stock", OptionsOf(study), {}};
  row.options.stock = true;
  row.options.big.shrink_to = 0;
  row.options.big.hold_spares = false;
  row.options.interval = study.costs.stock_interval;
  row.result = Replay(row.options, study.faults).Run();
  return row;
}

}  // namespace muster::sim::replay
