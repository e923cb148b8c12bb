#include "sim/replay/trace_command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/duration.h"
#include "common/status.h"
#include "sim/replay/study.h"
#include "sim/replay/svg.h"
#include "sim/replay/sweep.h"

namespace muster::sim::replay {
namespace {

constexpr char kFooter[] = R"(
Replays a year of node faults against the real coordinator in virtual time: one job over almost the
whole cluster, small ones on its idle spares. What each phase of a recovery takes is read from a
file of measured costs; a machine out of service stays away as long as the trace says.

  muster-sim trace                                    1,875 nodes + spares, beside the stock policy
  muster-sim trace --nodes 400 --days 30 --no-stock   the recorded size, a month
  muster-sim trace --faults llama3 --correlated       causes of Llama 3's 54 days; racks fail, too
  muster-sim trace --spares 40 --interval 5m          other choices
  muster-sim trace --svg year.svg                     nodes × time, incidents, goodput
  muster-sim trace --sweep --days 30 --jobs 2         spares × time between saves × rungs, a table

Two runs with one --seed write the same to stdout, byte for byte; wall times go to stderr.
Exit codes: 0 done, 1 an error, 2 wrong use.)";

struct Chosen {
  StudyOptions study;
  std::string interval;
  bool no_stock = false;
  std::string output = "text";
  std::string svg;
  bool sweep = false;
  uint32_t jobs = 1;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "muster-sim: %s\n", std::string(status.message()).c_str());
  return 1;
}

absl::Status WriteSvg(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return absl::OkStatus();
  return Unavailable("write picture {}: it cannot be written there; name another file with --svg",
                     path);
}

int RunSweep(const Study& study, uint32_t jobs) {
  const double begin = Seconds();
  SweepOptions options = DefaultSweep(study);
  options.jobs = std::max(1u, jobs);
  std::printf("%s", SweepText(study, options).c_str());
  std::fprintf(stderr, "wall time %.1f s\n", Seconds() - begin);
  return 0;
}

int RunTrace(const Chosen& chosen) {
  StudyOptions options = chosen.study;
  if (!chosen.interval.empty()) {
    const auto interval = DurationFromText(chosen.interval);
    if (!interval.ok()) return Fail(interval.status());
    options.interval = absl::ToInt64Microseconds(*interval);
  }
  if (!chosen.svg.empty()) options.picture_bins = 300;
  const double begin = Seconds();
  auto study = PrepareStudy(options);
  if (!study.ok()) return Fail(study.status());
  if (chosen.sweep) return RunSweep(*study, chosen.jobs);
  std::vector<Row> rows;
  std::string took;
  const auto keep = [&](Row (*run)(const Study&)) {
    const double from = Seconds();
    rows.push_back(run(*study));
    char line[200];
    std::snprintf(line, sizeof(line), "%s: %.1f s for %.0f days (%llu inputs, %llu records)\n",
                  rows.back().policy.c_str(), Seconds() - from,
                  static_cast<double>(study->span) / static_cast<double>(kDay),
                  static_cast<unsigned long long>(rows.back().result.inputs),
                  static_cast<unsigned long long>(rows.back().result.records));
    took += line;
  };
  keep(RunMuster);
  if (!chosen.no_stock) keep(RunStock);
  if (chosen.output == "json") {
    std::printf("%s\n", ReportJson(study->plan, rows).c_str());
  } else {
    std::printf("%s\n", ReportText(study->plan, rows).c_str());
  }
  if (!chosen.svg.empty()) {
    const absl::Status written = WriteSvg(chosen.svg, DrawSvg(study->plan, rows.front()));
    if (!written.ok()) return Fail(written);
  }
  std::fprintf(stderr, "%swall time %.1f s\n", took.c_str(), Seconds() - begin);
  return 0;
}

}  // namespace

std::function<int()> AddTraceCommand(CLI::App& app) {
  auto chosen = std::make_shared<Chosen>();
  StudyOptions& study = chosen->study;
  CLI::App* trace =
      app.add_subcommand("trace", "replay recorded faults; goodput, ledger, incidents");
  trace->footer(kFooter);
  trace->add_option("--trace", study.trace, "the recorded faults")->capture_default_str();
  trace->add_option("--trace-nodes", study.trace_nodes, "nodes of the recorded cluster")
      ->capture_default_str();
  trace->add_option("--costs", study.costs, "what each phase costs")->capture_default_str();
  trace->add_option("--faults", study.faults, "trace, or llama3: drawn from its published causes")
      ->check(CLI::IsMember({"trace", "llama3"}))
      ->capture_default_str();
  trace->add_flag("--correlated", study.correlated, "racks lose power and switches fail, too");
  trace->add_option("--nodes", study.nodes, "of the big job, 8 GPUs each")->capture_default_str();
  trace
      ->add_option("--spares", study.spares,
                   "nodes beside it; -1: short of nodes for at most 0.05 % of the time")
      ->capture_default_str();
  trace->add_option("--interval", chosen->interval,
                    "between saves, like 5m; else the costs' own, or Young/Daly");
  trace->add_option("--shrink-to", study.shrink_to, "fewest nodes it may go on with; 0 = all");
  trace->add_option("--small-load", study.small_load, "part of the idle spares small jobs ask for")
      ->capture_default_str();
  trace->add_option("--days", study.days, "0 = the whole trace");
  trace->add_option("--seed", study.seed, "decides everything drawn")->capture_default_str();
  trace->add_flag("--no-stock", chosen->no_stock, "without the stock policy beside it");
  trace->add_option("--svg", chosen->svg, "draw the replay into this file");
  trace->add_flag("--sweep", chosen->sweep, "spares × time between saves × rungs, a table");
  trace->add_option("--jobs", chosen->jobs, "processes of the sweep")->capture_default_str();
  trace->add_option("-o,--output", chosen->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  return [chosen, trace] { return trace->parsed() ? RunTrace(*chosen) : -1; };
}

}  // namespace muster::sim::replay
