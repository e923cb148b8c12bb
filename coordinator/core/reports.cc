#include <fmt/format.h>

#include <algorithm>

#include "common/status.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/room.h"

namespace muster::coordinator::core {
namespace {

// The node still has something of an attempt that is over, or that it should not have.
void ClearAway(Turn& turn, Node& node, const v1::AttemptReport& report) {
  const AttemptKey key(JobId(report.job_id()), AttemptNumber(report.attempt()));
  if (report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED) {
    if (node.stale.erase(key) > 0) RefreshUsable(turn.state(), node);
    SendRelease(turn, node, key);
    return;
  }
  if (node.stale.insert(key).second) RefreshUsable(turn.state(), node);
  SendStop(turn, node, key, absl::ZeroDuration(), "this attempt is over");
}

void RecordMilestone(Turn& turn, const Job& job, const Attempt& attempt, bool first_step) {
  v1::Record record;
  v1::AttemptMilestone* reached = record.mutable_attempt_milestone();
  reached->set_job_id(job.id.value());
  reached->set_attempt(attempt.facts.number());
  reached->set_first_step(first_step);
  reached->set_step(attempt.progress.first_step());
  turn.Record(std::move(record));
}

void TakeProgress(Turn& turn, Job& job, Attempt& attempt, uint64_t updates_before) {
  if (attempt.good()) {
    if (attempt.facts.state() == v1::ATTEMPT_STATE_STARTING &&
        attempt.ranks_up == attempt.ranks.size()) {
      RecordMilestone(turn, job, attempt, false);
    }
    if (attempt.facts.state() == v1::ATTEMPT_STATE_RUNNING &&
        attempt.facts.first_step_unix_ms() == 0 &&
        attempt.progress.step() > attempt.progress.first_step()) {
      RecordMilestone(turn, job, attempt, true);
    }
  }
  if (attempt.progress.updates() > updates_before) {
    job.progress = attempt.progress;
    turn.Emit(ProgressEvent(turn.state(), job, attempt));
  }
}

// The rank's end by its node's clock, which may be wrong: it lived when the node spoke before.
int64_t BrokenSince(Turn& turn, const RankFailure& failure) {
  const absl::Time heard = turn.state().nodes.Find(failure.node)->heard_before;
  const int64_t before = heard == absl::InfinitePast() ? 0 : absl::ToUnixMillis(heard);
  const int64_t exit_ms = failure.report.exit_unix_us() / 1000;
  return std::clamp(exit_ms, std::min(before, turn.now_ms()), turn.now_ms());
}

void TakeFailure(Turn& turn, Job& job, Attempt& attempt, const RankFailure& failure) {
  const int64_t exit_us = failure.report.exit_unix_us();
  if (attempt.good()) {
    attempt.cause_exit_us = exit_us;
    attempt.broken_since_ms = BrokenSince(turn, failure);
    StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_RANK_FAILED,
                CauseOf(failure, attempt.facts.state()));
    return;
  }
  if (attempt.facts.outcome() != v1::ATTEMPT_OUTCOME_RANK_FAILED) {
    StopWaitingForASave(turn, job);
    return;
  }
  // A node further away may report the root of the cascade later.
  if (exit_us > 0 && attempt.cause_exit_us > 0 && exit_us < attempt.cause_exit_us) {
    attempt.cause_exit_us = exit_us;
    attempt.broken_since_ms = BrokenSince(turn, failure);
    const bool was_up = attempt.facts.running_unix_ms() > 0;
    StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_RANK_FAILED,
                CauseOf(failure, was_up ? v1::ATTEMPT_STATE_RUNNING : v1::ATTEMPT_STATE_STARTING));
  }
}

}  // namespace

void OnAttemptReport(Turn& turn, Node& node, const v1::AttemptReport& report) {
  Job* job = turn.state().jobs.Find(JobId(report.job_id()));
  Attempt* attempt = job == nullptr ? nullptr : job->LiveAttempt();
  Share* share = attempt == nullptr || attempt->facts.number() != report.attempt()
                     ? nullptr
                     : attempt->ShareOf(node.name);
  if (share == nullptr) {
    ClearAway(turn, node, report);
    return;
  }
  const uint64_t updates_before = attempt->progress.updates();
  const auto failure = attempt->Observe(*share, report);
  TakeProgress(turn, *job, *attempt, updates_before);
  if (failure) TakeFailure(turn, *job, *attempt, *failure);
  if (attempt->good() && share->stopped && share->exited < share->ranks) {
    StopAttempt(
        turn, *job, v1::ATTEMPT_OUTCOME_RANK_FAILED,
        CauseOnNode(node.name, fmt::format("{} has no process of attempt {} left and cannot "
                                           "say how its ranks ended",
                                           node.name.value(), report.attempt())));
  } else if (attempt->good() && share->stopped && !attempt->all_clean() && attempt->all_done()) {
    StopAttempt(
        turn, *job, v1::ATTEMPT_OUTCOME_RANK_FAILED,
        CauseOnNode(node.name, fmt::format("attempt {} was killed by its worker, without an "
                                           "order",
                                           report.attempt())));
  }
  MaybeEndAttempt(turn, *job);
}

void OnWorkerSaid(Turn& turn, const WorkerSaid& input) {
  ClusterState& state = turn.state();
  Node* node = state.nodes.BySession(input.session);
  if (node == nullptr) return;  // the stream is being closed
  node->heard_before = node->lease.heard;
  node->lease.heard = turn.now();
  if (node->liveness.state != v1::NODE_STATE_READY) Rejudge(turn, *node);
  const v1::WorkerMessage& message = input.message;
  switch (message.message_case()) {
    case v1::WorkerMessage::kHeartbeat:
      for (const v1::AttemptReport& report : message.heartbeat().attempts()) {
        OnAttemptReport(turn, *node, report);
      }
      return;
    case v1::WorkerMessage::kReport:
      OnAttemptReport(turn, *node, message.report());
      return;
    case v1::WorkerMessage::kCommitRequest:
      OnCommitRequest(turn, *node, message.commit_request());
      return;
    case v1::WorkerMessage::kCommitDone:
      OnCommitDone(turn, *node, message.commit_done());
      return;
    case v1::WorkerMessage::kPruned:
      OnPruned(turn, message.pruned());
      return;
    case v1::WorkerMessage::kHello:
    case v1::WorkerMessage::kTestReport:
    case v1::WorkerMessage::kGoodbye:
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      turn.Close(input.session,
                 InvalidArgument("worker {} broke the protocol: {} inside an open stream; both "
                                 "sides must be of one version",
                                 node->name.value(),
                                 message.has_hello() ? "a second hello" : "an unknown message"));
      OnWorkerDisconnected(turn, {input.session, "protocol error"});
      return;
  }
}

}  // namespace muster::coordinator::core
