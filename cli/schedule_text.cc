#include "cli/schedule_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "cli/plan_text.h"
#include "common/terminal.h"
#include "spec/enum_word.h"
#include "spec/exact_duration.h"

namespace muster::cli {
namespace {

// One line "Name:   a, b", or nothing.
std::string Line(const char* name, const std::vector<std::string>& parts) {
  if (parts.empty()) return "";
  return fmt::format("{:<14}{}\n", std::string(name) + ":",
                     Printable(fmt::format("{}", fmt::join(parts, ", "))));
}

std::vector<std::string> QueueParts(const v1::Job& job) {
  const v1::ScheduleSpec& schedule = job.spec().schedule();
  std::vector<std::string> parts = {schedule.queue().empty() ? "default" : schedule.queue(),
                                    fmt::format("priority {}", schedule.priority())};
  if (job.array_id() != 0) {
    parts.push_back(fmt::format("number {} of array {}", job.array_index(), job.array_id()));
    if (schedule.array().at_once() > 0) {
      parts.push_back(fmt::format("at most {} at once", schedule.array().at_once()));
    }
  }
  return parts;
}

std::string DurationWord(const google::protobuf::Duration& duration) {
  return spec::IsExactDuration(duration) ? spec::ExactDurationText(duration) : "?";
}

std::vector<std::string> LimitParts(const v1::ScheduleSpec& schedule) {
  std::vector<std::string> parts;
  if (schedule.has_time_limit()) {
    parts.push_back(DurationWord(schedule.time_limit()) + " an attempt");
  }
  if (schedule.has_preemptible() && !schedule.preemptible()) {
    parts.push_back("gives way to nobody");
  } else if (schedule.has_preempt_grace()) {
    parts.push_back(DurationWord(schedule.preempt_grace()) + " to save when it gives way");
  }
  return parts;
}

std::vector<std::string> AfterParts(const v1::ScheduleSpec& schedule) {
  std::vector<std::string> parts;
  for (const v1::Dependency& after : schedule.after()) {
    parts.push_back(fmt::format("job {} {}", after.job(), spec::EnumWord(after.when())));
  }
  return parts;
}

std::vector<std::string> NodeParts(const v1::JobSpec& spec) {
  std::vector<std::string> parts;
  if (!spec.resources().device().empty()) parts.push_back("device " + spec.resources().device());
  if (spec.resources().exclusive()) parts.push_back("to itself");
  const v1::PlacementSpec& placement = spec.placement();
  for (const v1::Label& label : placement.select()) {
    parts.push_back(fmt::format("{}={}", label.name(), label.value()));
  }
  for (const std::string& hosts : placement.exclude()) parts.push_back("not " + hosts);
  for (const std::string& taint : placement.tolerate()) parts.push_back("tolerates " + taint);
  if (placement.has_spread()) {
    const v1::SpreadSpec& spread = placement.spread();
    parts.push_back(
        fmt::format("{} spread across {}s{}", spread.axis(), spec::EnumWord(spread.across()),
                    spread.at_least() > 0 ? fmt::format(", {} at least", spread.at_least()) : ""));
  }
  return parts;
}

std::vector<std::string> SpareParts(const v1::RecoverySpec& recovery) {
  std::vector<std::string> parts;
  if (recovery.hot_spares() > 0) {
    parts.push_back(
        fmt::format("{} node{}", recovery.hot_spares(), recovery.hot_spares() == 1 ? "" : "s"));
  }
  if (recovery.spare_share() > 0) {
    parts.push_back(fmt::format("{}{:g} % of its nodes", parts.empty() ? "" : "or ",
                                100 * recovery.spare_share()));
  }
  if (recovery.lend_spares()) parts.push_back("lent to preemptible jobs");
  return parts;
}

}  // namespace

std::string ScheduleText(const v1::Job& job) {
  const v1::JobSpec& spec = job.spec();
  return Line("Queue", QueueParts(job)) + Line("Limits", LimitParts(spec.schedule())) +
         Line("After", AfterParts(spec.schedule())) + Line("Nodes", NodeParts(spec)) +
         Line("Spares", SpareParts(spec.recovery()));
}

std::string WaitText(const v1::Job& job, int64_t now) {
  if (job.state() != v1::JOB_STATE_QUEUED) return "";
  std::string out;
  if (job.start_estimate_unix_ms() > 0) {
    out += fmt::format("  start       {}\n", StartText(job.start_estimate_unix_ms(), now));
  }
  for (const std::string& line : job.unblock()) {
    out += fmt::format("  unblock     {}\n", Printable(line));
  }
  return out;
}

std::string DomainMeshText(const v1::JobSpec& spec) {
  std::string text;
  for (const v1::Axis& axis : spec.mesh()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", axis.name(), axis.size());
    if (axis.within() != v1::DOMAIN_UNSPECIFIED) {
      text += fmt::format(" (within {})", spec::EnumWord(axis.within()));
    }
  }
  return text;
}

std::string JobStateText(const v1::Job& job) {
  return spec::EnumWord(job.state()) + (job.held() ? " (held)" : "");
}

}  // namespace muster::cli
