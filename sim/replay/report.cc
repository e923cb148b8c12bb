#include "sim/replay/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "common/duration.h"
#include "sim/replay/tables.h"

namespace muster::sim::replay {
namespace {

std::string Span(Micros span) { return DurationText(absl::Microseconds(span)); }
std::string Percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::string Head(const Plan& plan, const ReplayOptions& options) {
  const BigJob& big = options.big;
  std::string text =
      fmt::format("{} GPUs on {} nodes + {} spares, {} of faults ({}{}), seed {}\n",
                  big.nodes * kSlots, big.nodes, big.spares, Span(options.span), plan.faults,
                  plan.correlated ? ", racks and switches fail too" : "", options.seed);
  text += fmt::format(
      "faults: {:.2f} per 1,000 node-days, worst 10 % of the nodes have {:.0f} %; the job fails "
      "every {}\n",
      1000 * plan.per_node_day, 100 * plan.worst_tenth, Span(plan.between_failures));
  text +=
      fmt::format("nodes away at once: mean {:.1f}, half of the time at most {}, P99 {}, max {}\n",
                  plan.away.mean, plan.away.p50, plan.away.p99, plan.away.max);
  return text;
}

// Wall seconds of a kind; 0 = of all.
double CoreSeconds(const v1::Ledger& ledger, int kind) {
  if (kind == 0) return ledger.wall_seconds();
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    if (entry.kind() == kind) return entry.wall_seconds();
  }
  return 0;
}

Table Ledgers(const std::vector<Row>& rows) {
  Table table;
  table.Head("wall time of the job");
  for (const Row& row : rows) {
    table.Head(row.policy);
    table.Head("share");
    table.Head("by coordinator");
  }
  const auto line = [&](const std::string& name, auto of, double (*core)(const v1::Ledger&, int),
                        int kind) {
    table.Line(name);
    for (const Row& row : rows) {
      const TimeBook& book = row.result.jobs.at(1).book;
      const Micros spent = of(book);
      table.Cell(fmt::format("{:.1f} h", static_cast<double>(spent) / kHour));
      table.Cell(Percent(static_cast<double>(spent) /
                         static_cast<double>(std::max<Micros>(1, book.total()))));
      table.Cell(fmt::format("{:.1f} h", core(row.result.core, kind) / 3600));
    }
  };
  for (int kind = v1::LEDGER_KIND_PRODUCTIVE; v1::LedgerKind_IsValid(kind); ++kind) {
    const auto which = static_cast<v1::LedgerKind>(kind);
    line(
        KindName(which), [&](const TimeBook& book) { return book.of(which); }, CoreSeconds, kind);
  }
  line(
      "sum", [](const TimeBook& book) { return book.total(); }, CoreSeconds, 0);
  return table;
}

std::vector<const Outage*> OfBig(const ReplayResult& result) {
  std::vector<const Outage*> all;
  for (const Outage& outage : result.outages) {
    if (outage.job == 1) all.push_back(&outage);
  }
  return all;
}

std::vector<Micros> Sorted(const std::vector<const Outage*>& outages,
                           Micros (Outage::*of)() const) {
  std::vector<Micros> all;
  for (const Outage* outage : outages) all.push_back((outage->*of)());
  std::sort(all.begin(), all.end());
  return all;
}

Table Lengths(const std::vector<Row>& rows) {
  Table table;
  for (const char* head : {"outages of the job", "count", "p50", "p90", "p99", "max", "sum"}) {
    table.Head(head);
  }
  for (const Row& row : rows) {
    for (const auto& [name, of] : {std::pair("stood still", &Outage::Down),
                                   std::pair("with steps done again", &Outage::All)}) {
      const std::vector<Micros> all = Sorted(OfBig(row.result), of);
      Micros sum = 0;
      for (const Micros one : all) sum += one;
      table.Line(row.policy + ", " + name);
      table.Cell(std::to_string(all.size()));
      for (const double part : {0.5, 0.9, 0.99, 1.0}) table.Cell(Span(Percentile(all, part)));
      table.Cell(Span(sum));
    }
  }
  return table;
}

Table Phases(const std::vector<Row>& rows) {
  Table table;
  table.Head("mean of a phase");
  for (const char* name : kOutagePhaseNames) table.Head(name);
  for (const Row& row : rows) {
    const auto all = OfBig(row.result);
    table.Line(row.policy);
    for (size_t phase = 0; phase < kOutagePhases; ++phase) {
      Micros sum = 0;
      for (const Outage* outage : all) sum += outage->spent[phase];
      table.Cell(Span(all.empty() ? 0 : sum / static_cast<Micros>(all.size())));
    }
  }
  return table;
}

Table Causes(const Row& row) {
  struct Cause {
    uint64_t count = 0;
    Micros all = 0;
    std::map<v1::Rung, uint64_t> rungs;
  };
  std::map<std::string, Cause> causes;
  for (const Outage* outage : OfBig(row.result)) {
    Cause& cause = causes[outage->cause];
    ++cause.count;
    cause.all += outage->All();
    ++cause.rungs[outage->rung];
  }
  std::vector<std::pair<std::string, Cause>> sorted(causes.begin(), causes.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::tie(b.second.count, a.first) < std::tie(a.second.count, b.first);
  });
  Table table;
  table.Head("incidents of the job by cause (" + row.policy + ")");
  for (const char* head : {"count", "cost", "rungs"}) table.Head(head);
  constexpr size_t kShown = 15;
  for (size_t i = 0; i < std::min(kShown, sorted.size()); ++i) {
    const auto& [name, cause] = sorted[i];
    std::string rungs;
    for (const auto& [rung, count] : cause.rungs) {
      rungs += fmt::format("{}{} {}", rungs.empty() ? "" : ", ", RungName(rung), count);
    }
    table.Line(name);
    table.Cell(std::to_string(cause.count));
    table.Cell(Span(cause.all));
    table.Cell(rungs);
  }
  if (sorted.size() > kShown) table.Line(fmt::format("and {} more", sorted.size() - kShown));
  return table;
}

std::string Waits(const Row& row) {
  std::vector<Micros> waits;
  uint64_t submitted = 0, ended = 0;
  for (const auto& [id, times] : row.result.jobs) {
    if (id == 1) continue;
    ++submitted;
    ended += times.ended ? 1 : 0;
    if (times.placed >= 0) waits.push_back(times.placed - times.submitted);
  }
  std::sort(waits.begin(), waits.end());
  return fmt::format("{}: {} small jobs, {} ended; they waited p50 {}, p90 {}, p99 {}, max {}\n",
                     row.policy, submitted, ended, Span(Percentile(waits, 0.5)),
                     Span(Percentile(waits, 0.9)), Span(Percentile(waits, 0.99)),
                     Span(Percentile(waits, 1)));
}

std::string Worst(const Row& row) {
  std::vector<const Outage*> all = OfBig(row.result);
  std::sort(all.begin(), all.end(), [](const Outage* a, const Outage* b) {
    return a->All() != b->All() ? a->All() > b->All() : a->at < b->at;
  });
  std::string text = fmt::format("the worst ten ({}):\n", row.policy);
  for (size_t i = 0; i < std::min<size_t>(10, all.size()); ++i) {
    const Outage& outage = *all[i];
    text += fmt::format("{:2}. day {:.2f}, {} ({} down, {} steps again): {}{}\n", i + 1,
                        static_cast<double>(outage.at) / kDay, Span(outage.All()),
                        Span(outage.Down()), outage.steps_lost, outage.cause,
                        outage.nodes_hit > 1 ? fmt::format(", {} nodes", outage.nodes_hit) : "");
    for (const std::string& line : outage.story) text += "      " + line + "\n";
  }
  return text;
}

}  // namespace

double Goodput(const ReplayResult& result) {
  const TimeBook& book = result.jobs.at(1).book;
  return book.total() == 0 ? 0
                           : static_cast<double>(book.of(v1::LEDGER_KIND_PRODUCTIVE)) /
                                 static_cast<double>(book.total());
}

double CoreGoodput(const ReplayResult& result) {
  double productive = 0;
  for (const v1::LedgerEntry& entry : result.core.entries()) {
    if (entry.kind() == v1::LEDGER_KIND_PRODUCTIVE) productive = entry.wall_seconds();
  }
  return result.core.wall_seconds() > 0 ? productive / result.core.wall_seconds() : 0;
}

Micros Percentile(const std::vector<Micros>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size() - 1, at == 0 ? 0 : at - 1)];
}

std::string ReportText(const Plan& plan, const std::vector<Row>& rows) {
  std::string text = Head(plan, rows.front().options);
  for (const Row& row : rows) {
    const JobTimes& big = row.result.jobs.at(1);
    text += fmt::format("{}: goodput {}, saved every {} ({} saves), {} attempts{}\n", row.policy,
                        Percent(Goodput(row.result)), Span(row.options.interval),
                        row.result.checkpoints, big.attempts,
                        big.ended ? ", ENDED: " + big.end_reason : "");
    text += fmt::format(
        "  by the coordinator's ledger: {} of the wall time, {} of all slot-seconds with spares\n",
        Percent(CoreGoodput(row.result)), Percent(row.result.core.goodput()));
  }
  text += "\n" + Ledgers(rows).Text() + "\n" + Lengths(rows).Text() + "\n" + Phases(rows).Text() +
          "\n" + Causes(rows.front()).Text() + "\n";
  for (const Row& row : rows) text += Waits(row);
  return text + "\n" + Worst(rows.front());
}

}  // namespace muster::sim::replay
