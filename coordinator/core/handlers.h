// What Step does with each input, and what follows from it. One .cc per noun.
#pragma once

#include "coordinator/core/input.h"
#include "coordinator/core/turn.h"

namespace muster::coordinator::core {

// sessions.cc: who is connected, who is alive.
void OnWorkerConnected(Turn& turn, const WorkerConnected& input);
void OnWorkerDisconnected(Turn& turn, const WorkerDisconnected& input);
// Takes in what the node's lease says now; LoseNode is left to the caller.
void Rejudge(Turn& turn, Node& node);
void CheckLeases(Turn& turn);

// reports.cc: what a worker says about attempts.
void OnWorkerSaid(Turn& turn, const WorkerSaid& input);
void OnAttemptReport(Turn& turn, Node& node, const v1::AttemptReport& report);

// save_troubles.cc: what keeps ranks from saving. `report` was observed before.
void TakeSaveTroubles(Turn& turn, Job& job, Attempt& attempt, const v1::AttemptReport& report);

// commits.cc: permits, commits and prunes of checkpoints.
void OnCommitRequest(Turn& turn, const Node& node, const v1::CommitRequest& request);
void OnCommitDone(Turn& turn, const Node& node, const v1::CommitDone& done);
void OnPruned(Turn& turn, const v1::CheckpointsPruned& pruned);

// judge_nodes.cc: who is quarantined, tested and let back in. After every input.
void JudgeNodes(Turn& turn);
// Will it take the node that the failure names from work, once the failure is recorded? Of the
// first failure of an attempt.
bool WillQuarantine(const ClusterState& state, const Job& job, const v1::AttemptStopping& stopping);
void OnTestReport(Turn& turn, Node& node, const v1::NodeTestReport& report);

// What callers ask for: submit.cc, cancel.cc, control.cc, scale.cc, queues.cc, admission.cc,
// set_quarantine.cc.
void OnSubmitJob(Turn& turn, const SubmitJob& input);
void OnCancelJob(Turn& turn, const CancelJob& input);
void OnControlJob(Turn& turn, const ControlJob& input);
void OnScaleJob(Turn& turn, const ScaleJob& input);
void OnSetQueue(Turn& turn, const SetQueue& input);
void OnPauseQueue(Turn& turn, const PauseQueue& input);
void OnSetNodeAdmission(Turn& turn, const SetNodeAdmission& input);
// acknowledge.cc
void OnAckIncident(Turn& turn, const AckIncident& input);
void OnSetNodeQuarantine(Turn& turn, const SetNodeQuarantine& input);
void OnTestNode(Turn& turn, const TestNode& input);

// recovery.cc: how attempts and jobs end. A failure comes by way of FailAttempt (incidents.h).
// `grows`: it is placed again at once, with more of its data axis.
void StopAttempt(Turn& turn, Job& job, v1::AttemptOutcome outcome, const v1::FailureCause& cause,
                 bool grows = false);
// A rank of a live attempt that is being stopped is gone, so the others of a trainer cannot save
// any more: they would only wait for it until their grace is over.
void StopWaitingForASave(Turn& turn, Job& job);
// Ends the attempt when nothing of it is left, and the job when that was its last.
void MaybeEndAttempt(Turn& turn, Job& job);
// Ends a job that has no live attempt and needs no other.
void MaybeEndJob(Turn& turn, Job& job);
void LoseNode(Turn& turn, Node& node, const std::string& why);
void MaybeFinishDrain(Turn& turn, Node& node);

// orders.cc: what workers should do, said again until they do it.
void SendOrder(Turn& turn, Job& job, Share& share);  // to one node of its live attempt
void SendOrders(Turn& turn, Job& job);
void SendDueOrders(Turn& turn);
void CheckMissingShares(Turn& turn);
void SendStop(Turn& turn, const Node& node, AttemptKey key, absl::Duration grace,
              const std::string& reason);
void SendRelease(Turn& turn, const Node& node, AttemptKey key);
void OnVaultJobs(Turn& turn, const Node& node, const v1::WorkerHeartbeat& heartbeat);

// settled.cc: programs that tell no steps, and run on.
void CheckSettled(Turn& turn);

// time_limits.cc
void CheckTimeLimits(Turn& turn);

// planning.cc: passes of the scheduler, and what came of them.
void PlanIfNeeded(Turn& turn);
absl::Time PlanDue(const ClusterState& state);  // when it will have something to do
// Why a queued job waits, cheaply: for lists.
std::string WaitingReason(const ClusterState& state, const Job& job);
// The same in full: reason, what would unblock it, when it will start. Costs a pass.
void ExplainWaiting(const ClusterState& state, const Job& job, v1::Job* view);
std::string WhyNeverFitsHere(const ClusterState& state, const v1::JobSpec& spec);

// plan_one.cc: the scheduler's answer for a job that is not in the queue. The spec is one that a
// submit would take: AcceptableSpec.
v1::PlanJobResponse PlanOne(const ClusterState& state, const v1::JobSpec& spec,
                            const std::string& user);
// submit.cc: the spec as it would be recorded, or why it is refused; `what` is "submit" or "plan".
absl::StatusOr<v1::JobSpec> AcceptableSpec(const ClusterState& state, const v1::JobSpec& spec,
                                           const std::string& what);

// views.cc
v1::Job JobView(const ClusterState& state, const Job& job, bool full);
v1::Node NodeView(const ClusterState& state, const Node& node);

}  // namespace muster::coordinator::core
