// muster-sim: the control plane in simulated time.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "sim/case.h"
#include "sim/replay/trace_command.h"
#include "sim/runner.h"

namespace {

constexpr char kFooter[] = R"(
A case is a small text file: machines, load, rates of faults, checkers (muster-sim keys lists all).
A seed decides everything else; the same case and seed always give the same run.

  muster-sim run tests/sim/cases/mixed.txt --seeds 1000 --jobs 2     many seeds, in two processes
  muster-sim run tests/sim/cases/mixed.txt --seed 17                 one seed again
  muster-sim run tests/sim/cases/mixed.txt --seed 17 --trace         and every event of it
  muster-sim trace --help                                            a year of recorded faults

Exit codes: 0 every invariant held, 1 one was broken, 2 wrong use.)";

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Show(const muster::sim::Case& chosen, const muster::sim::Violation& violation, bool last) {
  std::printf("VIOLATION  %s\n", violation.text.c_str());
  std::printf("replay     muster-sim run %s --seed %llu --trace\n", chosen.name.c_str(),
              static_cast<unsigned long long>(violation.seed));
  if (!last) return;
  std::printf("the last events:\n%s", muster::sim::LastEvents(chosen, violation.seed, 25).c_str());
}

int Run(const std::vector<std::string>& files, const muster::sim::RunOptions& options,
        uint64_t seeds_each) {
  muster::sim::RunResult all;
  const double start = Seconds();
  for (const std::string& file : files) {
    const auto chosen = muster::sim::ReadCase(file);
    if (!chosen.ok()) {
      std::fprintf(stderr, "muster-sim: %s\n", std::string(chosen.status().message()).c_str());
      return 2;
    }
    muster::sim::RunOptions mine = options;
    mine.seeds = seeds_each;
    const double from = Seconds();
    const muster::sim::RunResult result = muster::sim::RunSeeds(*chosen, mine);
    all.totals.Add(result.totals);
    if (!options.trace) {
      std::printf("%-44s %6llu seeds %8.1f s  %s\n", file.c_str(),
                  static_cast<unsigned long long>(result.totals.seeds), Seconds() - from,
                  result.violations.empty() ? "ok" : "VIOLATION");
    }
    for (const muster::sim::Violation& violation : result.violations) {
      Show(*chosen, violation, !options.trace && all.violations.empty());
      all.violations.push_back(violation);
    }
    if (!all.violations.empty() && !options.keep_going) break;
  }
  std::printf("%s", all.totals.Text(Seconds() - start).c_str());
  return all.violations.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  muster::sim::RunOptions options;
  std::vector<std::string> files;
  uint64_t seeds = 1;
  CLI::App app{"The coordinator and its workers in simulated time, under faults of every kind."};
  app.footer(kFooter);
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run", "run seeds of one or more cases");
  run->add_option("case", files, "case files")->required();
  run->add_option("--seed", options.first_seed, "the (first) seed")->capture_default_str();
  run->add_option("--seeds", seeds, "how many, of each case")->capture_default_str();
  run->add_option("--jobs", options.jobs, "processes")->capture_default_str();
  run->add_option("--twice", options.twice, "the part of the seeds that is run twice and compared")
      ->capture_default_str();
  run->add_flag("--trace", options.trace, "print every event of the seed");
  run->add_flag("--keep-going", options.keep_going, "look for more violations after the first");
  CLI::App* keys = app.add_subcommand("keys", "every key of a case file, its default, its meaning");
  run->footer(kFooter);
  const auto trace = muster::sim::replay::AddTraceCommand(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (keys->parsed()) {
    std::printf("%s", muster::sim::CaseKeys().c_str());
    return 0;
  }
  if (const int code = trace(); code >= 0) return code;
  return Run(files, options, options.trace ? 1 : seeds);
}
