#include "cli/incident_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cli/job_text.h"
#include "cli/table.h"
#include "common/duration.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

std::string Seconds(double seconds) { return DurationText(absl::Seconds(seconds)); }

std::vector<std::pair<const char*, double>> Phases(const v1::PhaseSeconds& in) {
  return {{"detect", in.detect()},      {"decide", in.decide()}, {"stop", in.stop()},
          {"replace", in.replace()},    {"start", in.start()},   {"load", in.load()},
          {"recompute", in.recompute()}};
}

double Total(const v1::PhaseSeconds& in) {
  double total = 0;
  for (const auto& [name, seconds] : Phases(in)) total += seconds;
  return total;
}

double Longest(const v1::Incident& incident) {
  double longest = 0;
  for (const v1::IncidentJob& job : incident.jobs()) {
    longest = std::max(longest, Total(job.seconds()));
  }
  return longest;
}

std::string JobsText(const v1::Incident& incident) {
  if (incident.jobs_size() != 1) return fmt::format("{} jobs", incident.jobs_size());
  return fmt::format("{} ({})", incident.jobs(0).job_id(), incident.jobs(0).name());
}

std::string CollectiveText(const v1::CollectiveSeen& in) {
  return fmt::format("{} {} {} of {}",
                     in.done()      ? "after"
                     : in.started() ? "beside"
                                    : "in",
                     in.operation(), in.sequence(), in.group());
}

std::string EvidencePart(const v1::Incident& incident) {
  std::string out;
  for (const v1::Evidence& one : incident.evidence()) {
    out += fmt::format("  {:<8}  {}", spec::EnumWord(one.role()), Printable(one.text()));
    if (one.has_collective() && one.kind() != v1::EVIDENCE_KIND_RANK_STILL) {
      out += ", " + CollectiveText(one.collective());
    }
    out += "\n";
    for (const std::string& line : one.last_lines()) {
      out += fmt::format("            | {}\n", Printable(line));
    }
  }
  if (incident.evidence_left_out() > 0) {
    out += fmt::format("  and {} more that only followed\n", incident.evidence_left_out());
  }
  return out;
}

std::string JobPart(const v1::IncidentJob& job) {
  std::string out = fmt::format("Job {} ({}), {} slots: attempt {} failed", job.job_id(),
                                Printable(job.name()), job.slots(), job.attempt());
  out += fmt::format(", {}\n", spec::EnumWord(job.state()));
  if (!job.waiting_for().empty()) out += fmt::format("  {}\n", Printable(job.waiting_for()));
  for (const v1::IncidentAction& action : job.actions()) {
    out += fmt::format("  {}  {:<9}  {}{}\n", ClockText(action.time_unix_ms()),
                       spec::EnumWord(action.rung()),
                       action.attempt() > 0 ? fmt::format("attempt {}: ", action.attempt()) : "",
                       Printable(action.reason()));
  }
  out += "  ";
  for (const auto& [name, seconds] : Phases(job.seconds())) {
    out += fmt::format("{} {}, ", name, Seconds(seconds));
  }
  out += fmt::format("together {}", Seconds(Total(job.seconds())));
  if (job.steps_lost() > 0) out += fmt::format("; {} steps done again", job.steps_lost());
  return out + "\n";
}

}  // namespace

std::string IncidentTable(const v1::ListIncidentsResponse& incidents, int64_t now_unix_ms,
                          bool wide) {
  std::vector<std::string> header = {"ID", "AGE", "STATE", "JOB", "TOOK", "ACK", "WHAT"};
  if (wide) header.insert(header.begin() + 5, {"STEPS LOST", "SLOT HOURS", "BLAME"});
  Table table(header);
  for (const v1::Incident& one : incidents.incidents()) {
    uint64_t steps = 0;
    for (const v1::IncidentJob& job : one.jobs()) steps += job.steps_lost();
    std::vector<std::string> row = {
        std::to_string(one.id()),
        DurationText(absl::Milliseconds(std::max<int64_t>(0, now_unix_ms - one.time_unix_ms()))),
        spec::EnumWord(one.state()),
        JobsText(one),
        Seconds(Longest(one)),
        one.acknowledged() ? one.acknowledged_by() : "-",
        one.text()};
    if (wide) {
      const bool known = one.blame() != v1::BLAME_UNSPECIFIED;
      row.insert(
          row.begin() + 5,
          {std::to_string(steps), fmt::format("{:.2f}", one.slot_seconds_lost() / 3600),
           known ? fmt::format("{} {:.0f} %", spec::EnumWord(one.blame()), 100 * one.confidence())
                 : "-"});
    }
    table.AddRow(row);
  }
  return table.Text();
}

std::string IncidentPage(const v1::Incident& incident) {
  std::string out = fmt::format("Incident {}: {}\n\n", incident.id(), Printable(incident.text()));
  out += fmt::format("When:      {}{}\n", TimeText(incident.time_unix_ms()),
                     incident.end_unix_ms() > 0
                         ? fmt::format(", over after {}", Seconds(Longest(incident)))
                         : ", not over");
  if (!incident.domain().empty()) {
    out += fmt::format("Domain:    {}\n", Printable(incident.domain()));
  }
  std::string nodes;
  for (const std::string& node : incident.nodes()) nodes += (nodes.empty() ? "" : ", ") + node;
  out += fmt::format("Nodes:     {}\n", Printable(nodes));
  const v1::FailureCause& cause = incident.cause();
  if (cause.has_rank()) {
    out += fmt::format("Rank:      {} on {}", cause.rank(), Printable(cause.node()));
    if (cause.phase() != v1::PHASE_UNSPECIFIED) {
      out += fmt::format(", {} {}", spec::EnumWord(cause.phase()), cause.step());
    }
    out += "\n";
  }
  out += incident.blame() == v1::BLAME_UNSPECIFIED
             ? fmt::format("Blame:     cannot be told: {}\n", Printable(incident.blame_reason()))
             : fmt::format("Blame:     {}, {:.0f} % sure: {}\n", spec::EnumWord(incident.blame()),
                           100 * incident.confidence(), Printable(incident.blame_reason()));
  out += fmt::format("Cost:      {:.2f} slot hours\n", incident.slot_seconds_lost() / 3600);
  if (incident.acknowledged()) {
    out += fmt::format("Seen by:   {}{}{}\n", Printable(incident.acknowledged_by()),
                       incident.note().empty() ? "" : ": ", Printable(incident.note()));
  }
  out += "\nEvidence\n" + EvidencePart(incident);
  for (const v1::IncidentJob& job : incident.jobs()) out += "\n" + JobPart(job);
  return out;
}

}  // namespace muster::cli
