#include "cli/job_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/checkpoint_text.h"
#include "cli/exit_codes.h"
#include "cli/ledger_text.h"
#include "cli/progress_line.h"
#include "cli/schedule_text.h"
#include "common/duration.h"
#include "common/hostlist.h"
#include "spec/enum_word.h"
#include "spec/mesh.h"

namespace muster::cli {
namespace {

std::string ReasonOf(const v1::Job& job) { return job.reason().empty() ? "-" : job.reason(); }

std::string StepText(const v1::Progress& progress) {
  if (progress.target_steps() == 0) return "-";
  return fmt::format("{}/{}", progress.step(), progress.target_steps());
}

std::string NodesOf(const v1::Attempt& attempt) {
  std::vector<std::string> names;
  for (const v1::NodeShare& share : attempt.shares()) names.push_back(share.node());
  return FormatHostlist(std::move(names));
}

// "n12" → {"n", 12}; {"", 0} for a name that does not end in a plain number.
std::pair<std::string, uint64_t> PrefixAndNumber(const std::string& name) {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
  const size_t count = name.size() - digits;
  if (count == 0 || count > 18) return {"", 0};
  return {name.substr(0, digits), std::stoull(name.substr(digits))};
}

// One past the last share of the row of nodes that starts at `first`.
int EndOfRow(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares, int first) {
  if (shares.size() <= 4) return first + 1;
  int end = first + 1;
  auto last = PrefixAndNumber(shares[first].node());
  for (; end < shares.size() && shares[end].ranks() == shares[first].ranks(); ++end) {
    const auto next = PrefixAndNumber(shares[end].node());
    if (next.first.empty() || next.first != last.first || next.second != last.second + 1) break;
    last = next;
  }
  return end;
}

// "every 20 steps (31 s); recommended: 9 steps (14 s) at one failure per 3.1 h, a save costs 0.2 s"
std::string AdviceText(const v1::CheckpointAdvice& advice) {
  const auto span = [](double seconds) { return DurationText(absl::Seconds(seconds)); };
  const auto steps = [&](uint64_t count) {
    return fmt::format("{} step{} ({})", count, count == 1 ? "" : "s",
                       span(static_cast<double>(count) * advice.step_seconds()));
  };
  return fmt::format(
      "Saving:       every {}; recommended: {} at one failure per {}, a save costs {}\n",
      steps(advice.every_steps()), steps(advice.recommended_steps()), span(advice.mtbf_seconds()),
      span(advice.save_seconds()));
}

// How the attempt repairs the one before: "replace", "shrink to data 2"; "-" for nothing.
std::string RepairText(const v1::Attempt& attempt) {
  std::string text = attempt.rung() == v1::RUNG_UNSPECIFIED ? "" : spec::EnumWord(attempt.rung());
  for (const v1::Axis& axis : attempt.mesh()) {
    if (axis.name() != "data") continue;
    text += fmt::format("{}data {}", text.empty() ? "" : ", ", axis.size());
  }
  return text.empty() ? "-" : text;
}

std::string AttemptsText(const v1::Job& job, int64_t now) {
  Table table({"  ATTEMPT", "BY", "STATE", "OUTCOME", "NODES", "STEPS", "TIME", "CAUSE"});
  for (const v1::Attempt& attempt : job.attempts()) {
    const int64_t end = attempt.end_unix_ms() != 0 ? attempt.end_unix_ms() : now;
    const bool ended = attempt.state() == v1::ATTEMPT_STATE_ENDED;
    table.AddRow({fmt::format("  {}", attempt.number()), RepairText(attempt),
                  spec::EnumWord(attempt.state()), ended ? spec::EnumWord(attempt.outcome()) : "-",
                  NodesOf(attempt),
                  fmt::format("{}..{}{}", attempt.first_step(), attempt.last_step(),
                              attempt.from_memory() ? " (memory)" : ""),
                  SinceText(attempt.start_unix_ms(), end),
                  attempt.cause().text().empty() ? "-" : attempt.cause().text()});
  }
  return table.Text();
}

}  // namespace

std::string SinceText(int64_t from, int64_t to) {
  if (from == 0 || to == 0) return "-";
  return DurationText(absl::Milliseconds(std::max<int64_t>(0, to - from)));
}

std::string TimeText(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMillis(unix_ms),
                          absl::UTCTimeZone());
}

std::string ClockText(int64_t unix_ms) {
  return absl::FormatTime("%H:%M:%S", absl::FromUnixMillis(unix_ms), absl::LocalTimeZone());
}

std::string JobTable(const v1::ListJobsResponse& jobs, int64_t now, bool wide) {
  bool queues = wide;  // shown only where somebody uses them
  bool priorities = wide;
  for (const v1::Job& job : jobs.jobs()) {
    const v1::ScheduleSpec& schedule = job.spec().schedule();
    queues = queues || (!schedule.queue().empty() && schedule.queue() != "default");
    priorities = priorities || schedule.priority() != 0;
  }
  std::vector<std::string> header = {"ID", "NAME", "STATE"};
  if (queues) header.push_back("QUEUE");
  if (priorities) header.push_back("PRIORITY");
  header.insert(header.end(), {"MESH", "STEP", "LOSS", "AGE"});
  if (wide) header.insert(header.end(), {"TOKENS/S", "GOODPUT", "USER", "UID"});
  header.push_back("REASON");
  Table table(header);
  for (const v1::Job& job : jobs.jobs()) {
    const v1::Progress& progress = job.progress();
    const v1::ScheduleSpec& schedule = job.spec().schedule();
    std::vector<std::string> row = {std::to_string(job.id()), job.spec().name(), JobStateText(job)};
    if (queues) row.push_back(schedule.queue().empty() ? "default" : schedule.queue());
    if (priorities) row.push_back(std::to_string(schedule.priority()));
    row.insert(row.end(),
               {spec::MeshText(job.spec()), StepText(progress),
                progress.step() > 0 ? fmt::format("{:.4f}", progress.loss()) : "-",
                SinceText(job.submit_unix_ms(), job.end_unix_ms() != 0 ? job.end_unix_ms() : now)});
    if (wide) {
      row.insert(row.end(),
                 {fmt::format("{:.0f}", progress.tokens_per_second()),
                  fmt::format("{:.1f} %", 100 * job.ledger().goodput()), job.user(), job.uid()});
    }
    row.push_back(ReasonOf(job));
    table.AddRow(row);
  }
  return table.Text();
}

std::string PlacementText(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares) {
  std::string text;
  for (int i = 0; i < shares.size();) {
    const int end = EndOfRow(shares, i);
    const uint32_t first = shares[i].first_rank();
    const uint32_t last = shares[end - 1].first_rank() + shares[end - 1].ranks() - 1;
    std::vector<std::string> nodes;
    for (int k = i; k < end; ++k) nodes.push_back(shares[k].node());
    text += fmt::format("{}rank{} {} on {}", text.empty() ? "" : ", ", first == last ? "" : "s",
                        first == last ? std::to_string(first) : fmt::format("{}-{}", first, last),
                        FormatHostlist(nodes));
    if (end - i > 1) text += fmt::format(" ({} each)", shares[i].ranks());
    i = end;
  }
  return text;
}

std::string JobDescription(const v1::Job& job, int64_t now) {
  const int64_t end = job.end_unix_ms() != 0 ? job.end_unix_ms() : now;
  std::string out = fmt::format("Job:          {} ({})\n", job.id(), Printable(job.uid()));
  out += fmt::format("State:        {}: {}\n", JobStateText(job), Printable(ReasonOf(job)));
  out += WaitText(job, now);
  out += fmt::format("Mesh:         {} ({} rank{}, {} slot{} each)\n", DomainMeshText(job.spec()),
                     spec::RankCount(job.spec()), spec::RankCount(job.spec()) == 1 ? "" : "s",
                     job.spec().resources().slots_per_rank(),
                     job.spec().resources().slots_per_rank() == 1 ? "" : "s");
  out += fmt::format("Submitted:    {} by {}, {} {}\n", TimeText(job.submit_unix_ms()),
                     job.user().empty() ? "-" : Printable(job.user()),
                     SinceText(job.submit_unix_ms(), end), IsEnded(job.state()) ? "in all" : "ago");
  out += ScheduleText(job);
  if (job.progress().target_steps() > 0) {
    out += fmt::format("Progress:     {}\n", ProgressText(job.progress()));
  }
  if (job.progress().first_eval_bits_per_byte() > 0) {
    out +=
        fmt::format("Held out:     {:.3f} bits/byte at the start, {:.3f} now\n",
                    job.progress().first_eval_bits_per_byte(), job.progress().eval_bits_per_byte());
  }
  out += LedgerLines(job.ledger());
  if (job.ledger().steps_recomputed() > 0) {
    out += fmt::format("Recomputed:   {} steps\n", job.ledger().steps_recomputed());
  }
  if (job.attempts_size() > 0) {
    const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
    out += fmt::format("Placement:    {}\n", Printable(PlacementText(last.shares())));
    if (last.spares_size() > 0) {
      out += fmt::format("  spares      {}\n",
                         Printable(FormatHostlist({last.spares().begin(), last.spares().end()})));
    }
    out += fmt::format("  because     {}\n", Printable(last.reason()));
    out += fmt::format("Attempts:     {}\n{}", job.attempts_size(), AttemptsText(job, now));
    for (const std::string& line : last.cause().last_lines()) {
      out += fmt::format("  | {}\n", Printable(line));
    }
  }
  for (const v1::SaveTrouble& trouble : job.save_troubles()) {
    out += fmt::format("Save trouble: {} (for {})\n", Printable(trouble.text()),
                       SinceText(trouble.since_unix_ms(), now));
  }
  if (job.has_checkpoint_advice()) out += AdviceText(job.checkpoint_advice());
  if (job.checkpoints_size() > 0) {
    out +=
        fmt::format("Checkpoints:  {}\n{}", job.checkpoints_size(), CheckpointRefTable(job, "  "));
  }
  return out;
}

std::string EventLine(const v1::JobEvent& event) {
  std::string line = fmt::format("{}  {:<13} {}", ClockText(event.time_unix_ms()),
                                 spec::EnumWord(event.kind()), Printable(event.text()));
  if (event.kind() == v1::EVENT_KIND_FAILURE) {
    for (const std::string& last : event.cause().last_lines()) {
      line += fmt::format("\n          | {}", Printable(last));
    }
  }
  return line;
}

std::string JobSummary(const v1::Job& job) {
  std::string out =
      fmt::format("job {} ({}) {}", job.id(), job.spec().name(), spec::EnumWord(job.state()));
  if (!job.reason().empty()) out += ": " + Printable(job.reason());
  if (job.progress().target_steps() > 0) {
    out += fmt::format("\n  step {}/{}, loss {:.4f}", job.progress().step(),
                       job.progress().target_steps(), job.progress().loss());
  }
  out += fmt::format("\n  {} attempt{}, {} steps recomputed, {} in all", job.attempts_size(),
                     job.attempts_size() == 1 ? "" : "s", job.ledger().steps_recomputed(),
                     SinceText(job.submit_unix_ms(), job.end_unix_ms()));
  if (job.ledger().slot_seconds() > 0) {
    out += fmt::format(", goodput {:.1f} %", 100 * job.ledger().goodput());
  }
  return out;
}

}  // namespace muster::cli
