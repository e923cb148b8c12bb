#include "coordinator/core/apply_incidents.h"

#include <algorithm>
#include <set>

#include "common/check.h"
#include "coordinator/core/apply.h"
#include "coordinator/core/correlation.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/room.h"

namespace muster::coordinator::core {
namespace {

bool IsFailure(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

void AddNode(IncidentEntry& entry, const std::string& node) {
  const auto& nodes = entry.facts.nodes();
  if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) entry.facts.add_nodes(node);
}

SeenFailure& FailureOf(IncidentEntry& entry, JobId job, uint64_t attempt) {
  for (SeenFailure& failure : entry.failures) {
    if (failure.job == job && failure.attempt == attempt) return failure;
  }
  entry.failures.push_back({job, attempt, {}, 0});
  return entry.failures.back();
}

// The job's part, from its first evidence on.
HitJob& Hit(IncidentEntry& entry, const Job& job, const v1::AttemptStopping& stopping,
            int64_t now_ms) {
  const v1::Evidence& root = stopping.evidence(0);
  const int64_t began_ms = stopping.since_unix_ms() > 0 ? stopping.since_unix_ms() : now_ms;
  const int64_t happened_ms = std::min(began_ms, now_ms);
  const auto [at, added] = entry.jobs.try_emplace(job.id);
  HitJob& hit = at->second;
  if (added) {
    const int64_t known_ms = std::clamp(root.seen_unix_ms(), happened_ms, now_ms);
    hit.view.set_job_id(job.id.value());
    hit.view.set_name(job.spec.name());
    hit.view.set_attempt(stopping.attempt());
    hit.view.set_slots(SlotsOf(job.attempts.back()));
    hit.view.mutable_seconds()->set_detect(static_cast<double>(known_ms - happened_ms) / 1e3);
    hit.view.mutable_seconds()->set_decide(static_cast<double>(now_ms - known_ms) / 1e3);
    hit.first_ms = happened_ms;
    hit.since_ms = now_ms;
  } else if (hit.view.attempt() == stopping.attempt() && happened_ms < hit.first_ms) {
    v1::PhaseSeconds* seconds = hit.view.mutable_seconds();
    seconds->set_detect(seconds->detect() + static_cast<double>(hit.first_ms - happened_ms) / 1e3);
    hit.first_ms = happened_ms;
  }
  return hit;
}

void ApplyFailure(ClusterState& state, const v1::Record& record) {
  const v1::AttemptStopping& stopping = record.attempt_stopping();
  const int64_t now_ms = record.time_unix_ms();
  const Job& job = *state.jobs.Find(JobId(stopping.job_id()));
  IncidentEntry* entry = state.incidents.Find(stopping.incident());
  if (entry == nullptr) entry = &state.incidents.Add(stopping.incident(), now_ms);
  HitJob& hit = Hit(*entry, job, stopping, now_ms);
  if (hit.phase != RepairPhase::kStop) MoveOn(hit, RepairPhase::kStop, now_ms);  // repair failed
  state.incidents.SetOpen(job.id, stopping.incident());

  SeenFailure& failure = FailureOf(*entry, job.id, stopping.attempt());
  failure.evidence.assign(stopping.evidence().begin(), stopping.evidence().end());
  failure.left_out = stopping.evidence_left_out();
  if (&failure == &entry->failures.front()) {
    *entry->facts.mutable_cause() = stopping.cause();
    entry->facts.set_blame(stopping.blame());
    entry->facts.set_confidence(stopping.confidence());
    entry->facts.set_blame_reason(stopping.blame_reason());
    entry->facts.clear_nodes();
    for (const std::string& node : entry->lost) AddNode(*entry, node);
  } else if (stopping.confidence() > entry->facts.confidence()) {
    entry->facts.set_blame(stopping.blame());
    entry->facts.set_confidence(stopping.confidence());
    entry->facts.set_blame_reason(stopping.blame_reason());
  }
  for (const v1::Evidence& one : stopping.evidence()) {
    if (one.role() != v1::EVIDENCE_ROLE_ROOT) continue;
    AddNode(*entry, one.node());
    if (state.nodes.Find(NodeId(one.node()))->dead) entry->lost.insert(one.node());
  }
  const int64_t began_ms = entry->facts.time_unix_ms();
  if (began_ms == 0 || hit.first_ms < began_ms) entry->facts.set_time_unix_ms(hit.first_ms);
  if (stopping.rung() != v1::RUNG_UNSPECIFIED &&
      (hit.view.actions().empty() || hit.view.actions().rbegin()->attempt() != 0)) {
    v1::IncidentAction* action = hit.view.add_actions();
    action->set_rung(stopping.rung());
    action->set_reason(stopping.next());
    action->set_time_unix_ms(now_ms);
  }
  NameDomain(state, *entry);
  state.incidents.Changed(*entry, state.revision);
}

// What the new attempt is, if nobody said so.
v1::Rung RungOf(const Job& job, const v1::AttemptStarted& started) {
  if (started.rung() != v1::RUNG_UNSPECIFIED) return started.rung();
  if (job.attempts.size() < 2) return v1::RUNG_RESTART;
  std::set<std::string> before, now;
  for (const auto& share : job.attempts[job.attempts.size() - 2].facts.shares()) {
    before.insert(share.node());
  }
  for (const auto& share : started.shares()) now.insert(share.node());
  return before == now ? v1::RUNG_RESTART : v1::RUNG_REPLACE;
}

void ApplyRepair(IncidentEntry& entry, HitJob& hit, const Job& job, const v1::Record& record) {
  const v1::AttemptStarted& started = record.attempt_started();
  const v1::Rung rung = RungOf(job, started);
  hit.view.set_next_attempt(started.attempt());
  auto* actions = hit.view.mutable_actions();
  const bool announced =
      !actions->empty() && actions->rbegin()->attempt() == 0 && actions->rbegin()->rung() == rung;
  v1::IncidentAction* action = announced ? &*actions->rbegin() : actions->Add();
  action->set_rung(rung);
  action->set_attempt(started.attempt());
  action->set_reason(started.reason());
  action->set_time_unix_ms(record.time_unix_ms());
  entry.facts.set_end_unix_ms(0);
}

void Resolve(ClusterState& state, IncidentEntry& entry, HitJob& hit, v1::IncidentState how,
             int64_t now_ms) {
  MoveOn(hit, RepairPhase::kOver, now_ms);
  hit.view.set_state(how);
  state.incidents.SetResolved(JobId(hit.view.job_id()));
  if (entry.over()) entry.facts.set_end_unix_ms(now_ms);
}

void ApplyMilestone(ClusterState& state, IncidentEntry& entry, HitJob& hit,
                    const v1::AttemptMilestone& reached, int64_t now_ms) {
  if (reached.caught_up()) {
    const int64_t at_ms = reached.since_unix_ms() > 0 ? reached.since_unix_ms() : now_ms;
    hit.view.set_resumed_unix_ms(at_ms);
    Resolve(state, entry, hit, v1::INCIDENT_STATE_RESUMED, at_ms);
  } else if (reached.first_step()) {
    const uint64_t again = hit.stood > reached.step() ? hit.stood - reached.step() : 0;
    hit.view.set_steps_lost(std::max(hit.view.steps_lost(), again));
    MoveOn(hit, RepairPhase::kRecompute, now_ms);
  } else {
    MoveOn(hit, RepairPhase::kLoad, now_ms);
  }
}

void ApplyEnd(ClusterState& state, IncidentEntry& entry, HitJob& hit, const v1::Record& record) {
  const v1::JobEnded& ended = record.job_ended();
  const bool failed = ended.state() == v1::JOB_STATE_FAILED;
  hit.end_reason = ended.reason();
  if (failed) {
    auto* actions = hit.view.mutable_actions();
    const bool announced = !actions->empty() && actions->rbegin()->rung() == v1::RUNG_STOP;
    v1::IncidentAction* action = announced ? &*actions->rbegin() : actions->Add();
    action->set_rung(v1::RUNG_STOP);
    action->set_reason(ended.reason());
    action->set_time_unix_ms(record.time_unix_ms());
  }
  Resolve(state, entry, hit, failed ? v1::INCIDENT_STATE_FAILED : v1::INCIDENT_STATE_RESUMED,
          record.time_unix_ms());
}

// The job whose repair the record moves on; 0 = none.
uint64_t RepairedJob(const v1::Record& record) {
  if (record.has_attempt_stopping()) return record.attempt_stopping().job_id();
  if (record.has_attempt_ended()) return record.attempt_ended().job_id();
  if (record.has_attempt_started()) return record.attempt_started().job_id();
  if (record.has_attempt_milestone()) return record.attempt_milestone().job_id();
  if (record.has_job_ended()) return record.job_ended().job_id();
  return 0;
}

void ApplyAcknowledged(ClusterState& state, const v1::IncidentAcknowledged& ack) {
  if (!ack.request_id().empty()) {
    state.requests[ack.request_id()] = {.call = RequestUse::Call::kAckIncident,
                                        .incident = ack.incident()};
  }
  IncidentEntry* entry = state.incidents.Find(ack.incident());
  if (entry == nullptr) return;  // forgotten in this replay, with a smaller table
  entry->facts.set_acknowledged(true);
  entry->facts.set_acknowledged_by(ack.user());
  entry->facts.set_note(ack.note());
  state.incidents.Changed(*entry, state.revision);
}

}  // namespace

void ApplyToIncidents(ClusterState& state, const v1::Record& record) {
  const int64_t now_ms = record.time_unix_ms();
  if (record.has_incident_acknowledged()) {
    ApplyAcknowledged(state, record.incident_acknowledged());
    return;
  }
  if (record.has_node_died()) {
    for (const uint64_t id : AddToDomains(state, NodeId(record.node_died().node()), now_ms)) {
      state.incidents.Changed(*state.incidents.Find(id), state.revision);
    }
    return;
  }
  if (record.has_attempt_stopping() && IsFailure(record.attempt_stopping().outcome()) &&
      record.attempt_stopping().incident() != 0) {
    ApplyFailure(state, record);
    return;
  }
  const uint64_t id = RepairedJob(record);
  IncidentEntry* entry = id == 0 ? nullptr : state.incidents.OpenOf(JobId(id));
  if (entry == nullptr) return;
  HitJob& hit = entry->jobs.at(JobId(id));
  const Job& job = *state.jobs.Find(JobId(id));
  if (record.has_attempt_stopping()) {
    MoveOn(hit, RepairPhase::kStop, now_ms);
  } else if (record.has_attempt_ended()) {
    hit.stood = std::max(hit.stood, job.best_step);
    MoveOn(hit, RepairPhase::kReplace, now_ms);
  } else if (record.has_attempt_started()) {
    MoveOn(hit, RepairPhase::kStart, now_ms);
    ApplyRepair(*entry, hit, job, record);
  } else if (record.has_attempt_milestone()) {
    ApplyMilestone(state, *entry, hit, record.attempt_milestone(), now_ms);
  } else {
    ApplyEnd(state, *entry, hit, record);
  }
  state.incidents.Changed(*entry, state.revision);
}

}  // namespace muster::coordinator::core
