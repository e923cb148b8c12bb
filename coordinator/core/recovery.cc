#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/duration.h"
#include "common/hostlist.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/incidents.h"
#include "coordinator/core/room.h"
#include "coordinator/core/situation.h"
#include "spec/checkpoints.h"

namespace muster::coordinator::core {
namespace {

// The last step some checkpoint of the attempt proves it finished.
uint64_t ProvenStep(const Job& job, uint64_t attempt) {
  uint64_t step = 0;
  for (const v1::CheckpointRef& ref : job.checkpoints.refs()) {
    if (ref.attempt() == attempt) step = std::max(step, ref.step());
  }
  return step;
}

v1::Record EndedRecord(const Job& job, const Attempt& attempt, v1::AttemptOutcome outcome) {
  const v1::Progress& progress = attempt.progress;
  v1::Record record;
  v1::AttemptEnded* ended = record.mutable_attempt_ended();
  ended->set_job_id(job.id.value());
  ended->set_attempt(attempt.facts.number());
  ended->set_outcome(outcome);
  ended->set_first_step(std::max(progress.first_step(), attempt.facts.first_step()));
  ended->set_last_step(
      std::max({progress.step(), ended->first_step(), ProvenStep(job, attempt.facts.number())}));
  ended->set_productive_seconds(progress.productive_seconds());
  ended->set_checkpoint_seconds(progress.checkpoint_seconds());
  ended->set_load_seconds(progress.load_seconds());
  ended->set_straggler_seconds(progress.straggler_seconds());
  ended->set_from_memory(progress.from_memory() || attempt.facts.from_memory());
  ended->set_memory_suspect(attempt.memory_suspect || FoundCorruption(attempt.evidence));
  ended->set_first_eval_bits_per_byte(progress.first_eval_bits_per_byte());
  ended->set_eval_bits_per_byte(progress.eval_bits_per_byte());
  ended->set_last_loss(progress.loss());
  return record;
}

// A trainer that was asked to stop and come back, but finished meanwhile, is done.
v1::AttemptOutcome FinalOutcome(const Job& job, const Attempt& attempt) {
  const bool finished = attempt.all_clean();
  if (attempt.good()) return v1::ATTEMPT_OUTCOME_SUCCEEDED;
  if (finished && StopsGracefully(attempt.facts.outcome()) &&
      attempt.facts.outcome() != v1::ATTEMPT_OUTCOME_CANCELLED && job.spec.has_train() &&
      attempt.progress.step() >= job.spec.train().steps()) {
    return v1::ATTEMPT_OUTCOME_SUCCEEDED;
  }
  return attempt.facts.outcome();
}

void EndJob(Turn& turn, const Job& job, v1::JobState state, const std::string& reason) {
  v1::Record record;
  record.mutable_job_ended()->set_job_id(job.id.value());
  record.mutable_job_ended()->set_state(state);
  record.mutable_job_ended()->set_reason(reason);
  turn.Record(std::move(record));
}

bool IsFailure(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

// What follows a failure, as far as can be said before the attempt is gone.
void SayRepair(const ClusterState& state, const Job& job, v1::AttemptStopping& stopping) {
  if (job.cancel_requested || job.suspended) {
    if (IsFailure(stopping.outcome())) {
      stopping.set_next(job.cancel_requested ? "the job is being cancelled"
                                             : "the job is suspended");
    }
    return;
  }
  const Repair repair = ChooseRepair(SituationOf(state, job, stopping));
  stopping.set_rung(repair.rung);
  if (!IsFailure(stopping.outcome())) return;
  stopping.set_next(repair.rung == v1::RUNG_STOP
                        ? repair.reason
                        : fmt::format("{} (attempt {})", repair.reason, stopping.attempt() + 1));
}

// Gives the newest checkpoint up when resumes from it keep failing.
void MaybeStepBack(Turn& turn, const Job& job) {
  const Situation situation = CheckpointSituation(job);
  if (!MarksNewestBad(situation) || IsGivenUp(turn.state(), job)) return;
  v1::Record record;
  v1::CheckpointMarkedBad* marked = record.mutable_checkpoint_marked_bad();
  marked->set_job_id(job.id.value());
  marked->set_step(situation.newest_step);
  marked->set_attempt(job.checkpoints.NewestCommitted()->attempt());
  marked->set_reason(fmt::format(
      "{} resumes from it failed; going on {}", situation.failed_resumes,
      situation.has_older ? fmt::format("from step {}", situation.older_step) : "from the start"));
  turn.Record(std::move(record));
}

std::string NamesOf(const std::vector<NodeId>& nodes) {
  std::vector<std::string> names;
  for (const NodeId& node : nodes) names.push_back(node.value());
  return FormatHostlist(names);
}

// Why the job is given up: the first failure, and what speaks for the program or the machine.
std::string GivenUpText(const Job& job) {
  if (job.fruitless < FailuresMax(job.spec)) {
    return fmt::format(
        "failed after {} losses of nodes without progress, of {}; first: {}; does the program take "
        "its machines down?",
        job.failure_row.losses(), NamesOf(job.failure_row.lost()), job.failure_row.first_loss());
  }
  std::string text = fmt::format("failed after {} attempt{} without progress; first: {}",
                                 job.fruitless, job.fruitless == 1 ? "" : "s", job.first_error);
  const std::vector<NodeId>& nodes = job.failure_row.nodes();
  if (nodes.size() > 1) text += fmt::format("; it failed on {} alike", NamesOf(nodes));
  const Situation situation = CheckpointSituation(job);
  if (situation.failed_resumes >= kFailedResumesMax && !MarksNewestBad(situation)) {
    text += fmt::format("; {} resumes from step {} failed, its only checkpoint",
                        situation.failed_resumes, situation.newest_step);
  }
  return text;
}

std::string TimeLimitText(const Job& job) {
  const absl::Duration limit = absl::Seconds(job.spec.schedule().time_limit().seconds()) +
                               absl::Nanoseconds(job.spec.schedule().time_limit().nanos());
  const v1::CheckpointRef* newest = job.checkpoints.NewestCommitted();
  return fmt::format(
      "ran into its time limit of {}; {}", DurationText(limit),
      newest == nullptr ? "nothing was saved" : fmt::format("saved at step {}", newest->step()));
}

std::string SuccessText(const Turn& turn, const Job& job) {
  const size_t attempts = job.attempts.size();
  const std::string took =
      DurationText(absl::Milliseconds(turn.now_ms() - job.attempts.front().facts.start_unix_ms()));
  const std::string tail =
      fmt::format("in {}, {} attempt{}", took, attempts, attempts == 1 ? "" : "s");
  const uint64_t steps = job.attempts.back().facts.last_step();
  return steps == 0 ? "finished " + tail : fmt::format("finished {} steps {}", steps, tail);
}

}  // namespace

void StopAttempt(Turn& turn, Job& job, v1::AttemptOutcome outcome, const v1::FailureCause& cause,
                 bool grows) {
  Attempt* attempt = job.LiveAttempt();
  CHECK(attempt != nullptr, "job {} has no attempt to stop", job.id.value());
  v1::Record record;
  v1::AttemptStopping* stopping = record.mutable_attempt_stopping();
  stopping->set_job_id(job.id.value());
  stopping->set_attempt(attempt->facts.number());
  stopping->set_outcome(outcome);
  *stopping->mutable_cause() = cause;
  stopping->set_grows(grows);
  if (IsFailure(outcome)) {
    FillFailure(turn.state(), job, *attempt, stopping);
    attempt->has_new_evidence = false;
  }
  if (IsFailure(outcome) || outcome == v1::ATTEMPT_OUTCOME_DRAINED) {
    SayRepair(turn.state(), job, *stopping);
  }
  turn.Record(std::move(record));
  for (Share& share : attempt->shares) share.next_order = absl::InfinitePast();
  SendOrders(turn, job);
  MaybeEndAttempt(turn, job);
}

void StopWaitingForASave(Turn& turn, Job& job) {
  Attempt* attempt = job.LiveAttempt();
  if (!spec::KeepsCheckpoints(job.spec) || attempt->failed_while_stopping) return;
  attempt->failed_while_stopping = true;
  for (Share& share : attempt->shares) share.next_order = absl::InfinitePast();
  SendOrders(turn, job);
}

void MaybeEndAttempt(Turn& turn, Job& job) {
  Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr) return;
  if (attempt->good()) {
    if (!attempt->all_clean()) return;
    if (!attempt->all_done()) {
      // Every rank is through; what a node still holds of the attempt goes too.
      StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_SUCCEEDED, {});
      return;
    }
  }
  if (!attempt->all_done()) return;
  RecordLateEvidence(turn, job);
  const std::vector<Share> shares = attempt->shares;
  const AttemptKey key(job.id, AttemptNumber(attempt->facts.number()));
  turn.Record(EndedRecord(job, *attempt, FinalOutcome(job, *attempt)));
  for (const Share& share : shares) {
    Node& node = *turn.state().nodes.Find(share.node);
    if (share.stopped) {
      SendRelease(turn, node, key);
    } else if (share.reported && node.session) {
      node.stale.insert(key);  // given up, and back with its ranks: they must go first
      RefreshUsable(turn.state(), node);
      SendStop(turn, node, key, absl::ZeroDuration(), "this attempt is over");
    }
    MaybeFinishDrain(turn, node);
  }
  if (!job.cancel_requested) MaybeStepBack(turn, job);
  MaybeEndJob(turn, job);
}

void MaybeEndJob(Turn& turn, Job& job) {
  if (job.ended() || job.LiveAttempt() != nullptr) return;
  const bool succeeded =
      !job.attempts.empty() && job.attempts.back().facts.outcome() == v1::ATTEMPT_OUTCOME_SUCCEEDED;
  if (succeeded) {
    EndJob(turn, job, v1::JOB_STATE_SUCCEEDED, SuccessText(turn, job));
  } else if (job.cancel_requested) {
    EndJob(turn, job, v1::JOB_STATE_CANCELLED,
           job.cancel_reason.empty() ? "cancelled" : "cancelled: " + job.cancel_reason);
  } else if (!job.attempts.empty() &&
             job.attempts.back().facts.outcome() == v1::ATTEMPT_OUTCOME_TIME_LIMIT) {
    EndJob(turn, job, v1::JOB_STATE_FAILED, TimeLimitText(job));
  } else if (IsGivenUp(turn.state(), job)) {
    EndJob(turn, job, v1::JOB_STATE_FAILED, GivenUpText(job));
  }
}

void LoseNode(Turn& turn, Node& node, const std::string& why) {
  v1::Record record;
  record.mutable_node_died()->set_node(node.name.value());
  record.mutable_node_died()->set_incarnation(node.incarnation);
  record.mutable_node_died()->set_reason(why);
  record.mutable_node_died()->set_planned(node.goodbye ||
                                          node.admission == v1::NODE_ADMISSION_DRAINING ||
                                          node.admission == v1::NODE_ADMISSION_DRAINED);
  turn.Record(std::move(record));
  node.stale.clear();
  RefreshUsable(turn.state(), node);
  for (const JobId id : std::set<JobId>(node.jobs)) {
    Job& job = *turn.state().jobs.Find(id);
    Attempt* attempt = job.LiveAttempt();
    Share* share = attempt == nullptr ? nullptr : attempt->ShareOf(node.name);
    if (share == nullptr || share->done()) continue;
    attempt->MarkLost(*share);
    const bool silent = why.rfind("silent", 0) == 0;
    FailAttempt(
        turn, job,
        {NodeEvidence(turn, silent ? v1::EVIDENCE_KIND_NODE_SILENT : v1::EVIDENCE_KIND_NODE_GONE,
                      node, fmt::format("{} lost: {}", node.name.value(), why))});
    MaybeEndAttempt(turn, job);
  }
  MaybeFinishDrain(turn, node);
}

void MaybeFinishDrain(Turn& turn, Node& node) {
  if (node.admission != v1::NODE_ADMISSION_DRAINING || !node.jobs.empty()) return;
  v1::Record record;
  v1::NodeAdmissionSet* set = record.mutable_node_admission_set();
  set->set_node(node.name.value());
  set->set_admission(v1::NODE_ADMISSION_DRAINED);
  set->set_reason(node.admission_reason);
  turn.Record(std::move(record));
}

}  // namespace muster::coordinator::core
