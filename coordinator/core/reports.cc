#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/status.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/hangs.h"
#include "coordinator/core/incidents.h"
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

v1::Record MilestoneOf(const Job& job, const Attempt& attempt) {
  v1::Record record;
  v1::AttemptMilestone* reached = record.mutable_attempt_milestone();
  reached->set_job_id(job.id.value());
  reached->set_attempt(attempt.facts.number());
  reached->set_step(attempt.progress.first_step());
  reached->set_from_memory(attempt.progress.from_memory());
  return record;
}

// It is again where the attempts before it had come. Of programs that tell no steps: settled.cc.
bool CaughtUp(const Job& job, const Attempt& attempt) {
  const v1::Attempt& facts = attempt.facts;
  if (facts.number() < 2 || facts.caught_up_unix_ms() != 0) return false;
  return facts.first_step_unix_ms() != 0 && attempt.progress.step() >= job.best_step;
}

void TakeProgress(Turn& turn, Job& job, Attempt& attempt, uint64_t updates_before) {
  if (attempt.good()) {
    if (attempt.facts.state() == v1::ATTEMPT_STATE_STARTING &&
        attempt.ranks_up == attempt.ranks.size()) {
      turn.Record(MilestoneOf(job, attempt));
    }
    if (attempt.facts.state() == v1::ATTEMPT_STATE_RUNNING &&
        attempt.facts.first_step_unix_ms() == 0 &&
        attempt.progress.step() > attempt.progress.first_step()) {
      v1::Record record = MilestoneOf(job, attempt);
      record.mutable_attempt_milestone()->set_first_step(true);
      turn.Record(std::move(record));
    }
    if (CaughtUp(job, attempt)) {
      v1::Record record = MilestoneOf(job, attempt);
      record.mutable_attempt_milestone()->set_caught_up(true);
      turn.Record(std::move(record));
    }
  }
  if (attempt.progress.updates() > updates_before) {
    job.progress = attempt.progress;
    turn.Emit(ProgressEvent(turn.state(), job, attempt));
  }
}

void TakeFailures(Turn& turn, Job& job, const Attempt& attempt,
                  const std::vector<RankFailure>& failures) {
  if (failures.empty()) return;
  const bool was_up = attempt.facts.running_unix_ms() > 0;
  std::vector<v1::Evidence> evidence;
  for (const RankFailure& failure : failures) {
    evidence.push_back(EvidenceOf(
        failure, was_up ? v1::ATTEMPT_STATE_RUNNING : v1::ATTEMPT_STATE_STARTING, turn.now_ms()));
  }
  FailAttempt(turn, job, std::move(evidence));
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
  attempt->still_limit_ms = HangLimitMs(turn.state(), *job, *attempt);
  const std::vector<RankFailure> failures = attempt->Observe(*share, report);
  TakeProgress(turn, *job, *attempt, updates_before);
  TakeSaveTroubles(turn, *job, *attempt, report);
  TakeFailures(turn, *job, *attempt, failures);
  if (attempt->good() && share->saves_told < attempt->facts.saves_asked()) {
    SendOrder(turn, *job, *share);  // a worker that comes back may know of its ranks only later
  }
  if (attempt->good() && share->stopped && share->exited < share->ranks) {
    FailAttempt(turn, *job,
                {NodeEvidence(turn, v1::EVIDENCE_KIND_SHIM_DIED, node,
                              fmt::format("{} has no process of attempt {} left and cannot "
                                          "say how its ranks ended",
                                          node.name.value(), report.attempt()))});
  } else if (attempt->good() && share->stopped && !attempt->all_clean() && attempt->all_done()) {
    FailAttempt(turn, *job,
                {NodeEvidence(turn, v1::EVIDENCE_KIND_SHIM_DIED, node,
                              fmt::format("attempt {} was killed by its worker, without an "
                                          "order",
                                          report.attempt()))});
  }
  CheckHang(turn, *job);
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
      OnVaultJobs(turn, *node, message.heartbeat());
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
    case v1::WorkerMessage::kTestReport:
      OnTestReport(turn, *node, message.test_report());
      return;
    case v1::WorkerMessage::kGoodbye:
      node->goodbye = true;
      return;
    case v1::WorkerMessage::kHello:
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
