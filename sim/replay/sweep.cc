#include "sim/replay/sweep.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/check.h"
#include "common/duration.h"
#include "sim/replay/tables.h"

namespace muster::sim::replay {
namespace {

struct Choice {
  uint32_t spares = 0;
  Micros interval = 0;
  std::string rungs;
};

struct Cell {
  double goodput = 0;
  double waiting = 0;
  double recompute = 0;
  double stall = 0;
  double p50 = 0, p99 = 0, longest = 0;  // seconds stood still
  uint64_t incidents = 0;
  int ended = 0;
};

Cell RunChoice(Study study, const Choice& choice) {
  SetSpares(study, choice.spares);
  study.options.interval = choice.interval;
  study.options.picture_bins = 0;
  study.options.shrink_to = choice.rungs == "all" ? study.options.shrink_to : 0;
  study.options.hold_spares = choice.rungs != "requeue";
  const Row row = RunMuster(study);
  const TimeBook& book = row.result.jobs.at(1).book;
  const auto share = [&](v1::LedgerKind kind) {
    return static_cast<double>(book.of(kind)) /
           static_cast<double>(std::max<Micros>(1, book.total()));
  };
  std::vector<Micros> down;
  for (const Outage& outage : row.result.outages) {
    if (outage.job == 1) down.push_back(outage.Down());
  }
  std::sort(down.begin(), down.end());
  const auto seconds = [&](double part) {
    return static_cast<double>(Percentile(down, part)) / kSecond;
  };
  return {Goodput(row.result),
          share(v1::LEDGER_KIND_WAITING),
          share(v1::LEDGER_KIND_RECOMPUTE),
          share(v1::LEDGER_KIND_CHECKPOINT_STALL),
          seconds(0.5),
          seconds(0.99),
          seconds(1),
          down.size(),
          row.result.jobs.at(1).ended ? 1 : 0};
}

// Every `jobs`th choice in a process of its own; the parent reads what they wrote.
std::vector<Cell> RunAll(const Study& study, const std::vector<Choice>& choices, uint32_t jobs) {
  std::vector<Cell> cells(choices.size());
  if (jobs <= 1) {
    for (size_t i = 0; i < choices.size(); ++i) cells[i] = RunChoice(study, choices[i]);
    return cells;
  }
  std::vector<std::pair<pid_t, std::FILE*>> children;
  for (uint32_t child = 0; child < jobs; ++child) {
    std::FILE* file = std::tmpfile();
    CHECK(file != nullptr, "no temporary file: errno {}", errno);
    std::fflush(nullptr);
    const pid_t pid = fork();
    CHECK(pid >= 0, "fork: errno {}", errno);
    if (pid == 0) {
      for (size_t i = child; i < choices.size(); i += jobs) {
        const Cell cell = RunChoice(study, choices[i]);
        std::fwrite(&cell, sizeof(cell), 1, file);
      }
      std::fflush(file);
      _exit(0);
    }
    children.emplace_back(pid, file);
  }
  for (uint32_t child = 0; child < jobs; ++child) {
    int status = 0;
    while (waitpid(children[child].first, &status, 0) < 0 && errno == EINTR) {
    }
    CHECK(status == 0, "a process of the sweep ended with status {}", status);
    std::rewind(children[child].second);
    for (size_t i = child; i < choices.size(); i += jobs) {
      CHECK(std::fread(&cells[i], sizeof(Cell), 1, children[child].second) == 1,
            "a process of the sweep wrote too little");
    }
    std::fclose(children[child].second);
  }
  return cells;
}

std::string Percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

}  // namespace

SweepOptions DefaultSweep(const Study& study) {
  const Micros best = std::max(study.costs.step, YoungDaly(study.costs.Stall(study.options.nodes),
                                                           study.plan.between_failures));
  SweepOptions options;
  options.spares = {study.spares / 2, study.spares, study.spares * 3 / 2};
  options.intervals = {best / 4, best, best * 4};
  options.rungs = {"all", "no-shrink", "requeue"};
  if (study.options.shrink_to == 0) options.rungs.erase(options.rungs.begin());
  return options;
}

std::string SweepText(const Study& study, const SweepOptions& options) {
  std::vector<Choice> choices;
  for (const std::string& rungs : options.rungs) {
    for (const uint32_t spares : options.spares) {
      for (const Micros interval : options.intervals) choices.push_back({spares, interval, rungs});
    }
  }
  const std::vector<Cell> cells = RunAll(study, choices, options.jobs);
  Table table;
  for (const char* head : {"rungs", "spares", "saved every", "goodput", "save stall", "recompute",
                           "waiting", "incidents", "down p50", "down p99", "longest"}) {
    table.Head(head);
  }
  for (size_t i = 0; i < choices.size(); ++i) {
    const Cell& cell = cells[i];
    const auto text = [](double seconds) { return DurationText(absl::Seconds(seconds)); };
    table.Line(choices[i].rungs + (cell.ended != 0 ? " (ENDED)" : ""));
    table.Cell(std::to_string(choices[i].spares));
    table.Cell(DurationText(absl::Microseconds(choices[i].interval)));
    for (const double share : {cell.goodput, cell.stall, cell.recompute, cell.waiting}) {
      table.Cell(Percent(share));
    }
    table.Cell(std::to_string(cell.incidents));
    for (const double seconds : {cell.p50, cell.p99, cell.longest}) table.Cell(text(seconds));
  }
  return table.Text();
}

}  // namespace muster::sim::replay
