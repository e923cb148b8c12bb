// Records change the state here (and in apply_requests.cc) and nowhere else. No decisions: a record
// is a fact.
#include "coordinator/core/apply.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/core/apply_incidents.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/dependencies.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/room.h"
#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::core {
namespace {

Attempt& LiveOf(Job& job, uint64_t number) {
  Attempt* attempt = job.LiveAttempt();
  CHECK(attempt != nullptr && attempt->facts.number() == number,
        "a record changes attempt {} of job {}, which does not live", number, job.id.value());
  return *attempt;
}

void ApplyNodeJoined(ClusterState& state, const v1::NodeJoined& joined) {
  const Node* known = state.nodes.Find(NodeId(joined.node()));
  if (known == nullptr || known->dead) ++state.nodes_up;
  Node& node = state.nodes.FindOrAdd(NodeId(joined.node()));
  node.dead = false;
  node.dead_reason.clear();
  node.incarnation = joined.incarnation();
  node.slots = joined.slots();
  node.devices.assign(joined.devices().begin(), joined.devices().end());
  node.peer_address = joined.peer_address();
  node.location = joined.location();
  node.labels.assign(joined.labels().begin(), joined.labels().end());
  node.taints.assign(joined.taints().begin(), joined.taints().end());
  SetNodeFacts(state, node);
}

Node& NodeOf(ClusterState& state, const std::string& name) {
  Node* node = state.nodes.Find(NodeId(name));
  CHECK(node != nullptr, "a record names node {}, which never joined", name);
  return *node;
}

void ApplyNodeAdmissionSet(ClusterState& state, const v1::NodeAdmissionSet& set) {
  Node& node = NodeOf(state, set.node());
  node.admission = set.admission();
  node.admission_reason = set.reason();
  RefreshUsable(state, node);
  if (!set.request_id().empty()) {
    state.requests[set.request_id()] = {.call = RequestUse::Call::kSetAdmission, .node = node.name};
  }
}

void ApplyAttemptStarted(ClusterState& state, const v1::Record& record) {
  const v1::AttemptStarted& started = record.attempt_started();
  Job& job = JobOf(state, started.job_id());
  CHECK(!job.ended() && job.LiveAttempt() == nullptr, "job {} is started twice", job.id.value());
  CHECK(started.attempt() == job.attempts.size() + 1, "job {} skips to attempt {}", job.id.value(),
        started.attempt());
  Attempt& attempt = job.attempts.emplace_back();
  attempt.facts.set_number(started.attempt());
  attempt.facts.set_state(v1::ATTEMPT_STATE_STARTING);
  attempt.facts.set_reason(started.reason());
  attempt.facts.set_start_unix_ms(record.time_unix_ms());
  attempt.Place(started.shares());
  for (size_t i = 0; i < attempt.shares.size(); ++i) {
    Share& share = attempt.shares[i];
    const Node& node = NodeOf(state, share.node.value());
    share.placed_incarnation = node.incarnation;
    if (!job.spec.resources().exclusive()) continue;
    const auto used = static_cast<uint32_t>(started.shares(static_cast<int>(i)).slots_size());
    attempt.left_slots.push_back(node.slots - std::min(node.slots, used));
  }
  *attempt.facts.mutable_spares() = started.spares();
  attempt.facts.set_rung(started.rung());
  *attempt.facts.mutable_mesh() = started.mesh();
  attempt.facts.set_replica_shift(started.replica_shift());
  attempt.facts.set_parity_group(started.parity_group());
  attempt.facts.set_parity_stride(started.parity_stride());
  if (!started.mesh().empty()) state.shortened.insert(job.id);
  job.stepped_back = false;
  job.waits_for_room = false;
  TakeRoom(state, job);
  SetSpares(state, job, started.spares());
  state.time_limits.Set(
      job.id, absl::FromUnixMillis(record.time_unix_ms()) + scheduler::TimeLimitOf(job.spec));
  job.progress.Clear();
  job.ForgetWait();
  job.requeued = false;
  state.queues.TakeSlots(QueueName(job.spec), job.user, SlotsOf(attempt), record.time_unix_ms());
  if (attempt.facts.number() == 1) SettleDependents(state, job);
}

// A later record may know of an earlier beginning.
void KeepFailure(Attempt& attempt, const v1::AttemptStopping& stopping, int64_t now_ms) {
  if (stopping.outcome() != v1::ATTEMPT_OUTCOME_RANK_FAILED &&
      stopping.outcome() != v1::ATTEMPT_OUTCOME_NODE_LOST) {
    return;
  }
  v1::Attempt& facts = attempt.facts;
  const int64_t since = stopping.since_unix_ms() == 0 ? now_ms : stopping.since_unix_ms();
  const int64_t before = facts.failed_since_unix_ms();
  facts.set_failed_since_unix_ms(before == 0 ? since : std::min(before, since));
  attempt.blame = stopping.blame();
  facts.set_hung(stopping.evidence_size() > 0 &&
                 std::none_of(stopping.evidence().begin(), stopping.evidence().end(),
                              [](const v1::Evidence& one) {
                                return one.role() == v1::EVIDENCE_ROLE_ROOT &&
                                       one.kind() != v1::EVIDENCE_KIND_RANK_STILL;
                              }));
}

void ApplyAttemptStopping(ClusterState& state, const v1::Record& record) {
  const v1::AttemptStopping& stopping = record.attempt_stopping();
  Attempt& attempt = LiveOf(JobOf(state, stopping.job_id()), stopping.attempt());
  state.time_limits.Clear(JobId(stopping.job_id()));
  state.settling.Clear(JobId(stopping.job_id()));
  state.plan_needed = true;  // when its slots come free is another time now
  attempt.facts.set_state(v1::ATTEMPT_STATE_STOPPING);
  attempt.facts.set_outcome(stopping.outcome());
  *attempt.facts.mutable_cause() = stopping.cause();
  KeepFailure(attempt, stopping, record.time_unix_ms());
  attempt.grows = stopping.grows();
  if (stopping.grows()) JobOf(state, stopping.job_id()).grown_unix_ms = record.time_unix_ms();
  attempt.facts.set_incident(stopping.incident());
  attempt.evidence.assign(stopping.evidence().begin(), stopping.evidence().end());
  attempt.evidence_left_out = stopping.evidence_left_out();
  if (attempt.stop_unix_ms != 0) return;  // a better cause; the time stands
  attempt.stop_unix_ms = record.time_unix_ms();
  // A program that fails again and again says nothing about the nodes.
  if (stopping.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED &&
      stopping.blame() != v1::BLAME_PROGRAM && JobOf(state, stopping.job_id()).fruitless == 0) {
    state.failure_rate.Count(record.time_unix_ms());
  }
  if (stopping.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
      stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    attempt.facts.set_failure_unix_ms(record.time_unix_ms());
  }
}

// Counts the failures in a row that brought nothing new. True: this attempt brought something.
bool CountProgress(Job& job, const Attempt& attempt) {
  const bool fruitful = attempt.facts.last_step() > job.best_step || attempt.new_checkpoint;
  job.best_step = std::max(job.best_step, attempt.facts.last_step());
  if (fruitful) {
    job.fruitless = 0;
    job.first_error.clear();
    job.failure_row.Clear();
  } else {
    const bool ranks_failed = attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED;
    if (ranks_failed && job.fruitless++ == 0) {
      job.first_error = CauseWithLastLine(attempt.facts.cause());
    }
    job.failure_row.Add({.outcome = attempt.facts.outcome(),
                         .node = NodeId(attempt.facts.cause().node()),
                         .phase = attempt.facts.cause().phase(),
                         .first_step = attempt.facts.first_step(),
                         .last_step = attempt.facts.last_step(),
                         .text = attempt.facts.cause().text(),
                         .start_unix_ms = attempt.facts.start_unix_ms(),
                         .unix_ms = attempt.facts.failure_unix_ms()},
                        job.checkpoints);
  }
  job.not_before_unix_ms =
      attempt.facts.end_unix_ms() + absl::ToInt64Milliseconds(Backoff(job.fruitless));
  return fruitful;
}

// What the record keeps of the progress, for when no worker says it again.
void KeepProgress(Job& job, const v1::AttemptEnded& ended) {
  v1::Progress& progress = job.progress;
  progress.set_first_step(ended.first_step());
  progress.set_step(ended.last_step());
  if (job.spec.has_train()) progress.set_target_steps(job.spec.train().steps());
  progress.set_loss(ended.last_loss());
  progress.set_productive_seconds(ended.productive_seconds());
  progress.set_checkpoint_seconds(ended.checkpoint_seconds());
  progress.set_load_seconds(ended.load_seconds());
  progress.set_straggler_seconds(ended.straggler_seconds());
  progress.set_first_eval_bits_per_byte(ended.first_eval_bits_per_byte());
  progress.set_eval_bits_per_byte(ended.eval_bits_per_byte());
  progress.set_from_memory(ended.from_memory());
}

void ApplyAttemptEnded(ClusterState& state, const v1::Record& record) {
  const v1::AttemptEnded& ended = record.attempt_ended();
  Job& job = JobOf(state, ended.job_id());
  Attempt& attempt = LiveOf(job, ended.attempt());
  attempt.facts.set_state(v1::ATTEMPT_STATE_ENDED);
  attempt.facts.set_outcome(ended.outcome());
  attempt.facts.set_end_unix_ms(record.time_unix_ms());
  state.shortened.erase(job.id);
  attempt.facts.set_first_step(ended.first_step());
  attempt.facts.set_last_step(ended.last_step());
  attempt.facts.set_productive_seconds(ended.productive_seconds());
  attempt.facts.set_checkpoint_seconds(ended.checkpoint_seconds());
  attempt.facts.set_load_seconds(ended.load_seconds());
  attempt.facts.set_straggler_seconds(ended.straggler_seconds());
  attempt.facts.set_from_memory(ended.from_memory());
  state.time_limits.Clear(job.id);
  state.settling.Clear(job.id);
  GiveRoomBack(state, job);
  if (!KeepsSpares(ended.outcome()) || job.suspended || job.requeued) GiveSparesBack(state, job);
  state.queues.FreeSlots(QueueName(job.spec), job.user, SlotsOf(attempt), record.time_unix_ms());
  attempt.Unplace();
  job.save_troubles.clear();
  if (ended.last_step() > ended.first_step()) job.slots_since = ended.attempt();
  if (ended.memory_suspect()) job.slots_since = ended.attempt() + 1;
  const bool fruitful = CountProgress(job, attempt);
  NoteAttemptEnded(state, job, attempt, fruitful);
  KeepProgress(job, ended);
}

void ApplyAttemptMilestone(ClusterState& state, const v1::Record& record) {
  const v1::AttemptMilestone& reached = record.attempt_milestone();
  Attempt& attempt = LiveOf(JobOf(state, reached.job_id()), reached.attempt());
  if (reached.caught_up()) {
    const int64_t since_ms = reached.since_unix_ms();
    attempt.facts.set_caught_up_unix_ms(since_ms > 0 ? since_ms : record.time_unix_ms());
    state.settling.Clear(JobId(reached.job_id()));
  } else if (reached.first_step()) {
    attempt.facts.set_first_step(reached.step());
    attempt.facts.set_from_memory(reached.from_memory());
    attempt.facts.set_first_step_unix_ms(record.time_unix_ms());
  } else {
    attempt.facts.set_state(v1::ATTEMPT_STATE_RUNNING);
    if (!attempt.facts.mesh().empty()) state.plan_needed = true;  // it may grow from some time on
    attempt.facts.set_running_unix_ms(record.time_unix_ms());
    if (attempt.facts.number() > 1 && JobOf(state, reached.job_id()).TellsNoSteps()) {
      state.settling.Set(JobId(reached.job_id()),
                         absl::FromUnixMillis(record.time_unix_ms()) + state.options.settled_after);
    }
  }
}

void ApplyJobEnded(ClusterState& state, const v1::Record& record) {
  const v1::JobEnded& ended = record.job_ended();
  Job& job = JobOf(state, ended.job_id());
  CHECK(!job.ended() && job.LiveAttempt() == nullptr, "job {} ends while it lives or twice",
        job.id.value());
  job.end_state = ended.state();
  job.end_reason = ended.reason();
  job.end_unix_ms = record.time_unix_ms();
  job.ForgetWait();
  job.placement_class.clear();
  GiveSparesBack(state, job);
  state.ledger_of_ended.Add(job, job.end_unix_ms, {});
  SettleDependents(state, job);
}

LedgerSum LedgerOfEnded(const Job& job) {
  LedgerSum sum;
  sum.Add(job, job.end_unix_ms, {});
  return sum;
}

// The word of a commit may come after the end of its job: then fewer of its steps were lost.
void KeepCommitted(ClusterState& state, Job& job, uint64_t step) {
  if (step <= job.committed_step) return;
  if (!job.ended()) {
    job.committed_step = step;
    return;
  }
  const LedgerSum before = LedgerOfEnded(job);
  job.committed_step = step;
  state.ledger_of_ended.Correct(before, LedgerOfEnded(job));
}

void ApplyCheckpointCommitted(ClusterState& state, const v1::CheckpointCommitted& committed) {
  Job& job = JobOf(state, committed.job_id());
  const bool newest = job.checkpoints.Commit(committed.checkpoint());
  KeepCommitted(state, job, committed.checkpoint().step());
  Attempt* attempt = job.FindAttempt(committed.attempt());
  if (newest && attempt != nullptr) attempt->new_checkpoint = true;
  if (state.shortened.count(job.id) > 0) state.plan_needed = true;  // it may grow now
}

void ApplyCheckpointForgotten(ClusterState& state, const v1::CheckpointForgotten& forgotten) {
  Job& job = JobOf(state, forgotten.job_id());
  for (const v1::CheckpointRef& ref : forgotten.checkpoints()) job.checkpoints.Forget(ref);
}

void ApplySaveTroubleSet(ClusterState& state, const v1::SaveTroubleSet& set) {
  Job& job = JobOf(state, set.job_id());
  LiveOf(job, set.attempt());
  if (set.over()) {
    job.save_troubles.erase(set.trouble().kind());
  } else {
    job.save_troubles[set.trouble().kind()] = set.trouble();
  }
  Touch(state, job);
}

void ApplyCheckpointMarkedBad(ClusterState& state, const v1::CheckpointMarkedBad& marked) {
  Job& job = JobOf(state, marked.job_id());
  job.checkpoints.MarkBad(marked.step(), marked.attempt());
  job.failure_row.ForgetResumes();
  job.stepped_back = true;
  if (!job.attempts.empty()) job.slots_since = job.attempts.back().facts.number() + 1;
  Touch(state, job);
}

void Change(ClusterState& state, const v1::Record& record) {
  switch (record.record_case()) {
    case v1::Record::kClusterCreated:
      state.cluster_id = record.cluster_created().cluster_id();
      break;
    case v1::Record::kEpochStarted:
      CHECK(record.epoch_started().epoch() > state.epoch.value(), "epoch {} follows epoch {}",
            record.epoch_started().epoch(), state.epoch.value());
      state.epoch = Epoch(record.epoch_started().epoch());
      break;
    case v1::Record::kNodeJoined:
      ApplyNodeJoined(state, record.node_joined());
      state.plan_needed = true;
      break;
    case v1::Record::kNodeDied: {
      Node& node = NodeOf(state, record.node_died().node());
      if (!node.dead) --state.nodes_up;
      state.failure_rate.Count(record.time_unix_ms());
      NoteNodeDied(state, node, record);
      node.dead = true;
      node.dead_reason = record.node_died().reason();
      node.dead_unix_ms = record.time_unix_ms();
      RefreshUsable(state, node);
      state.plan_needed = true;
      break;
    }
    case v1::Record::kNodeAdmissionSet:
      ApplyNodeAdmissionSet(state, record.node_admission_set());
      state.plan_needed = true;
      break;
    case v1::Record::kJobSubmitted:
      ApplyJobSubmitted(state, record);
      break;
    case v1::Record::kJobCancelRequested:
      ApplyJobCancelRequested(state, record);
      break;
    case v1::Record::kQueueSet:
      ApplyQueueSet(state, record.queue_set());
      break;
    case v1::Record::kJobHeld:
      ApplyJobHeld(state, record.job_held());
      break;
    case v1::Record::kJobSuspended:
      ApplyJobSuspended(state, record.job_suspended());
      break;
    case v1::Record::kJobRequeued:
      ApplyJobRequeued(state, record.job_requeued());
      break;
    case v1::Record::kJobSaveAsked:
      ApplyJobSaveAsked(state, record);
      break;
    case v1::Record::kJobScaled:
      ApplyJobScaled(state, record.job_scaled());
      break;
    case v1::Record::kAttemptStarted:
      ApplyAttemptStarted(state, record);
      Touch(state, JobOf(state, record.attempt_started().job_id()));
      break;
    case v1::Record::kAttemptStopping:
      ApplyAttemptStopping(state, record);
      NoteAttemptStopping(state, JobOf(state, record.attempt_stopping().job_id()), record);
      Touch(state, JobOf(state, record.attempt_stopping().job_id()));
      break;
    case v1::Record::kAttemptEnded:
      ApplyAttemptEnded(state, record);
      Touch(state, JobOf(state, record.attempt_ended().job_id()));
      state.plan_needed = true;
      break;
    case v1::Record::kAttemptMilestone:
      ApplyAttemptMilestone(state, record);
      Touch(state, JobOf(state, record.attempt_milestone().job_id()));
      break;
    case v1::Record::kJobEnded:
      ApplyJobEnded(state, record);
      Touch(state, JobOf(state, record.job_ended().job_id()));
      state.plan_needed = true;
      break;
    case v1::Record::kCommitPermitted:
      JobOf(state, record.commit_permitted().job_id())
          .checkpoints.Permit(record.commit_permitted().checkpoint());
      Touch(state, JobOf(state, record.commit_permitted().job_id()));
      break;
    case v1::Record::kCheckpointCommitted:
      ApplyCheckpointCommitted(state, record.checkpoint_committed());
      Touch(state, JobOf(state, record.checkpoint_committed().job_id()));
      break;
    case v1::Record::kCheckpointMarkedBad:
      ApplyCheckpointMarkedBad(state, record.checkpoint_marked_bad());
      break;
    case v1::Record::kCheckpointForgotten:
      ApplyCheckpointForgotten(state, record.checkpoint_forgotten());
      Touch(state, JobOf(state, record.checkpoint_forgotten().job_id()));
      break;
    case v1::Record::kSaveTroubleSet:
      ApplySaveTroubleSet(state, record.save_trouble_set());
      break;
    case v1::Record::kIncidentAcknowledged:  // apply_incidents.cc
      break;
    case v1::Record::kNodeQuarantineSet:
      ApplyNodeQuarantineSet(state, record);
      break;
    case v1::Record::kNodeTested:
      ApplyNodeTested(state, record);
      break;
    case v1::Record::RECORD_NOT_SET:
      CHECK(false, "a record without content, or of a newer version");
  }
}

}  // namespace

Job& JobOf(ClusterState& state, uint64_t id) {
  Job* job = state.jobs.Find(JobId(id));
  CHECK(job != nullptr, "a record names job {}, which was never submitted", id);
  return *job;
}

void Resort(ClusterState& state, const Job& job) {
  state.jobs.Sort(job);
  const bool queued = !job.ended() && job.LiveAttempt() == nullptr;
  state.arrays.Sort(job, queued && !HasOwnHold(job));
}

void Touch(ClusterState& state, Job& job) {
  job.revision = state.revision;
  Resort(state, job);
}

std::optional<v1::JobEvent> ApplyRecord(ClusterState& state, const v1::Record& record) {
  ++state.revision;
  state.record_unix_ms = record.time_unix_ms();
  state.failure_rate.Advance(record.time_unix_ms(), state.nodes_up);
  Change(state, record);
  ApplyToIncidents(state, record);
  std::optional<v1::JobEvent> event = EventOf(state, record);
  if (event) state.events.Push(*event);
  return event;
}

}  // namespace muster::coordinator::core
