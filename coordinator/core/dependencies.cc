#include "coordinator/core/dependencies.h"

#include <fmt/format.h>

#include <charconv>

#include "common/check.h"
#include "common/status.h"
#include "coordinator/core/apply.h"
#include "coordinator/core/turn.h"

namespace muster::coordinator::core {
namespace {

enum class Verdict { kOpen, kMet, kNever };

Verdict Judge(const Job& on, v1::AfterEvent when) {
  const auto once_ended = [&](bool good) {
    return !on.ended() ? Verdict::kOpen : good ? Verdict::kMet : Verdict::kNever;
  };
  switch (when) {
    case v1::AFTER_EVENT_STARTED:
      return !on.attempts.empty() ? Verdict::kMet : once_ended(false);
    case v1::AFTER_EVENT_ENDED:
      return once_ended(true);
    case v1::AFTER_EVENT_FAILED:
      return once_ended(on.end_state == v1::JOB_STATE_FAILED);
    case v1::AFTER_EVENT_SUCCEEDED:
    case v1::AFTER_EVENT_UNSPECIFIED:  // named without an event
    case v1::AfterEvent_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AfterEvent_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return once_ended(on.end_state == v1::JOB_STATE_SUCCEEDED);
}

// "succeeded", "ended", ...
std::string EventWord(v1::AfterEvent when) {
  switch (when) {
    case v1::AFTER_EVENT_STARTED:
      return "started";
    case v1::AFTER_EVENT_ENDED:
      return "ended";
    case v1::AFTER_EVENT_FAILED:
      return "failed";
    case v1::AFTER_EVENT_SUCCEEDED:
    case v1::AFTER_EVENT_UNSPECIFIED:
    case v1::AfterEvent_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AfterEvent_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "succeeded";
}

std::string NameOf(const Job& job) {
  return fmt::format("job {} ({})", job.id.value(), job.spec.name());
}

// "job 3 (prep) ended FAILED, so it will never have succeeded"
std::string NeverText(const Job& on, v1::AfterEvent when) {
  return fmt::format("{} is {}, so it will never have {}", NameOf(on),
                     v1::JobState_Name(on.end_state).substr(10), EventWord(when));
}

// The job that an id or a name means; nullptr when there is none.
const Job* Named(const ClusterState& state, const std::string& text) {
  uint64_t id = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool is_id = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return is_id ? state.jobs.Find(JobId(id)) : state.jobs.FindByName(text);
}

// Takes the newest facts in.
void Settle(ClusterState& state, Job& job) {
  job.after_open = 0;
  for (After& after : job.after) {
    if (after.met) continue;
    const Job& on = *state.jobs.Find(after.job);
    const Verdict verdict = Judge(on, after.when);
    after.met = verdict == Verdict::kMet;
    if (!after.met) ++job.after_open;
    if (verdict == Verdict::kNever && job.after_impossible.empty() && !job.ended()) {
      job.after_impossible = NeverText(on, after.when);
      state.dependencies.doomed.insert(job.id);
    }
  }
}

}  // namespace

absl::Status ResolveDependencies(const ClusterState& state, v1::JobSpec* spec) {
  for (v1::Dependency& wanted : *spec->mutable_schedule()->mutable_after()) {
    const Job* on = Named(state, wanted.job());
    if (on == nullptr) {
      return NotFound(
          "submit job \"{}\": it starts after job \"{}\", and there is none of that id or name; "
          "`muster list` shows those there are",
          spec->name(), wanted.job());
    }
    if (Judge(*on, wanted.when()) == Verdict::kNever) {
      return FailedPrecondition("submit job \"{}\": {}; leave it out of `after`", spec->name(),
                                NeverText(*on, wanted.when()));
    }
    wanted.set_job(std::to_string(on->id.value()));
    if (wanted.when() == v1::AFTER_EVENT_UNSPECIFIED) wanted.set_when(v1::AFTER_EVENT_SUCCEEDED);
  }
  return absl::OkStatus();
}

void WatchDependencies(ClusterState& state, Job& job) {
  for (const v1::Dependency& wanted : job.spec.schedule().after()) {
    const Job* on = Named(state, wanted.job());
    CHECK(on != nullptr && on->id < job.id, "job {} starts after job {}, which is not before it",
          job.id.value(), wanted.job());
    job.after.push_back({on->id, wanted.when(), false});
    if (!on->ended()) state.dependencies.dependents[on->id].push_back(job.id);
  }
  Settle(state, job);
}

void SettleDependents(ClusterState& state, const Job& job) {
  const auto found = state.dependencies.dependents.find(job.id);
  if (job.ended()) state.dependencies.doomed.erase(job.id);
  if (found == state.dependencies.dependents.end()) return;
  for (const JobId id : found->second) {
    Job& dependent = *state.jobs.Find(id);
    Settle(state, dependent);
    Resort(state, dependent);
  }
  if (job.ended()) state.dependencies.dependents.erase(found);
  state.plan_needed = true;
}

void EndDoomed(Turn& turn) {
  const std::set<JobId>& doomed = turn.state().dependencies.doomed;
  while (!doomed.empty()) {
    const Job& job = *turn.state().jobs.Find(*doomed.begin());
    v1::Record record;
    record.mutable_job_ended()->set_job_id(job.id.value());
    record.mutable_job_ended()->set_state(v1::JOB_STATE_CANCELLED);
    record.mutable_job_ended()->set_reason("cancelled: " + job.after_impossible);
    turn.Record(std::move(record));
  }
}

std::string OpenText(const ClusterState& state, const Job& job) {
  if (job.after_open == 0) return "";
  for (const After& after : job.after) {
    if (after.met) continue;
    std::string text = fmt::format("{} has not {} yet", NameOf(*state.jobs.Find(after.job)),
                                   EventWord(after.when));
    if (job.after_open > 1) text += fmt::format("; and {} more", job.after_open - 1);
    return text;
  }
  CHECK(false, "job {} counts more dependencies than it has", job.id.value());
}

std::vector<After> OpenAfter(const ClusterState& state, const v1::JobSpec& spec) {
  std::vector<After> open;
  for (const v1::Dependency& wanted : spec.schedule().after()) {
    const Job& on = *Named(state, wanted.job());
    if (Judge(on, wanted.when()) == Verdict::kOpen) open.push_back({on.id, wanted.when(), false});
  }
  return open;
}

std::string OpenText(const ClusterState& state, const v1::JobSpec& spec) {
  const std::vector<After> open = OpenAfter(state, spec);
  if (open.empty()) return "";
  return fmt::format("{} has not {} yet", NameOf(*state.jobs.Find(open.front().job)),
                     EventWord(open.front().when));
}

}  // namespace muster::coordinator::core
