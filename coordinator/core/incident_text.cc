#include "coordinator/core/incident_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/duration.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {
namespace {

std::string CauseText(const v1::Incident& facts) {
  if (facts.domain().empty()) return facts.cause().text();
  return fmt::format("{} lost with {} nodes", facts.domain(), facts.nodes_size());
}

const char* DoneText(v1::Rung rung) {
  switch (rung) {
    case v1::RUNG_REFORM:
      return "re-formed";
    case v1::RUNG_RESTART:
      return "restarted on the same nodes";
    case v1::RUNG_REPLACE:
      return "restarted on other nodes";
    case v1::RUNG_SHRINK:
      return "restarted with fewer replicas";
    case v1::RUNG_STEP_BACK:
      return "restarted from an older checkpoint";
    case v1::RUNG_REQUEUE:
      return "restarted when there was room";
    case v1::RUNG_STOP:
    case v1::RUNG_UNSPECIFIED:
    case v1::Rung_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Rung_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "";
}

// ", from step 47 in memory"; empty when it went on from storage.
std::string FromMemoryText(const ClusterState& state, const HitJob& hit) {
  const Job& job = *state.jobs.Find(JobId(hit.view.job_id()));
  if (hit.view.next_attempt() == 0 || hit.view.next_attempt() > job.attempts.size()) return "";
  const v1::Attempt& next = job.attempts[hit.view.next_attempt() - 1].facts;
  return next.from_memory() ? fmt::format(", from step {} in memory", next.first_step()) : "";
}

std::string OutcomeOf(const ClusterState& state, const HitJob& hit) {
  if (hit.view.state() == v1::INCIDENT_STATE_FAILED) return "given up: " + hit.end_reason;
  if (hit.phase != RepairPhase::kOver) {
    std::string waits = WaitsFor(state, hit);
    if (!waits.empty()) return waits;
    // Whether that helped, only time tells.
    const Job& job = *state.jobs.Find(JobId(hit.view.job_id()));
    const bool runs = hit.phase == RepairPhase::kLoad && job.TellsNoSteps();
    return runs ? "started again" : "being repaired";
  }
  if (hit.view.resumed_unix_ms() == 0) return "the job ended meanwhile: " + hit.end_reason;
  const auto& actions = hit.view.actions();
  const std::string action =
      actions.empty() ? "" : DoneText(actions.rbegin()->rung()) + FromMemoryText(state, hit);
  const uint64_t again = hit.view.steps_lost();
  const absl::Duration took =
      absl::Milliseconds(std::llround(1e3 * TotalSeconds(hit.view.seconds())));
  return fmt::format("{}{}{}, {} step{} again", action, action.empty() ? "" : "; ",
                     DurationText(took), again, again == 1 ? "" : "s");
}

// The job that was given up, else one that is not yet well, else the one that took longest.
const HitJob& Worst(const IncidentEntry& entry) {
  const auto badness = [](const HitJob& hit) {
    const int rank = hit.view.state() == v1::INCIDENT_STATE_FAILED ? 2
                     : hit.phase != RepairPhase::kOver             ? 1
                                                                   : 0;
    return std::pair(rank, TotalSeconds(hit.view.seconds()));
  };
  return std::max_element(entry.jobs.begin(), entry.jobs.end(),
                          [&](const auto& left, const auto& right) {
                            return badness(left.second) < badness(right.second);
                          })
      ->second;
}

}  // namespace

std::string WaitsFor(const ClusterState& state, const HitJob& hit) {
  const Job& job = *state.jobs.Find(JobId(hit.view.job_id()));
  if (hit.phase != RepairPhase::kReplace || job.LiveAttempt() != nullptr) return "";
  return job.suspended ? HoldReason(state, job) : WaitingReason(state, job);
}

std::string IncidentText(const ClusterState& state, const IncidentEntry& entry) {
  return IncidentTextOf(state, entry, Worst(entry));
}

std::string IncidentTextOf(const ClusterState& state, const IncidentEntry& entry,
                           const HitJob& hit) {
  const std::string text = fmt::format("{} ({}); ", CauseText(entry.facts),
                                       BlameText(entry.facts.blame(), entry.facts.confidence()));
  const std::string jobs =
      entry.jobs.size() > 1 ? fmt::format("{} jobs hit; ", entry.jobs.size()) : "";
  return text + jobs + OutcomeOf(state, hit);
}

}  // namespace muster::coordinator::core
