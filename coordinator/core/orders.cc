#include <fmt/format.h>

#include <algorithm>

#include "coordinator/core/causes.h"
#include "coordinator/core/gang_order.h"
#include "coordinator/core/grace.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/incidents.h"
#include "coordinator/core/parity.h"
#include "coordinator/core/replicas.h"

namespace muster::coordinator::core {
namespace {

void SendStart(Turn& turn, const Job& job, Attempt& attempt, size_t index, const Node& node) {
  const NodeId root(attempt.facts.shares(0).node());
  v1::CoordinatorMessage message;
  v1::StartRanks* start = message.mutable_start();
  start->set_job_id(job.id.value());
  start->set_job_uid(job.uid);
  start->set_attempt(attempt.facts.number());
  *start->mutable_share() = attempt.facts.shares(static_cast<int>(index));
  start->set_world_size(static_cast<uint32_t>(attempt.ranks.size()));
  start->set_nodes(static_cast<uint32_t>(attempt.shares.size()));
  start->set_node_index(static_cast<uint32_t>(index));
  start->set_root_address(turn.state().nodes.Find(root)->peer_address);
  start->set_gang(GangOrderOf(job, attempt));
  AddReplicas(job, attempt, index, turn.state().nodes, start);
  AddParity(job, attempt, index, turn.state().nodes, start);
  turn.Send(node, std::move(message));
}

void SendSave(Turn& turn, const Job& job, const Attempt& attempt, const Node& node) {
  v1::CoordinatorMessage message;
  v1::SaveNow* save = message.mutable_save();
  save->set_job_id(job.id.value());
  save->set_attempt(attempt.facts.number());
  save->set_save(attempt.facts.saves_asked());
  turn.Send(node, std::move(message));
}

bool MissedARestart(const Node& node, const Share& share) {
  return node.incarnation != share.placed_incarnation;
}

// Is there something the node should do for its share and has not yet done? A share given up with
// its node is stopped all the same when the node is back.
bool Owes(const Attempt& attempt, const Share& share, const Node& node) {
  if (share.stopped || !node.session) return false;
  if (attempt.stopping()) return true;
  if (share.reported) return share.saves_told < attempt.facts.saves_asked();
  return attempt.facts.state() == v1::ATTEMPT_STATE_STARTING && !MissedARestart(node, share);
}

}  // namespace

void SendStop(Turn& turn, const Node& node, AttemptKey key, absl::Duration grace,
              const std::string& reason) {
  v1::CoordinatorMessage message;
  v1::StopRanks* stop = message.mutable_stop();
  stop->set_job_id(key.first.value());
  stop->set_attempt(key.second.value());
  stop->set_grace_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(grace)));
  stop->set_reason(reason);
  turn.Send(node, std::move(message));
}

void SendRelease(Turn& turn, const Node& node, AttemptKey key) {
  v1::CoordinatorMessage message;
  message.mutable_release()->set_job_id(key.first.value());
  message.mutable_release()->set_attempt(key.second.value());
  turn.Send(node, std::move(message));
}

void SendOrder(Turn& turn, Job& job, Share& share) {
  Attempt& attempt = *job.LiveAttempt();
  const Node* node = turn.state().nodes.Find(share.node);
  if (!Owes(attempt, share, *node)) return;
  if (turn.now() >= share.next_order) {
    if (attempt.stopping()) {
      SendStop(turn, *node, AttemptKey(job.id, AttemptNumber(attempt.facts.number())),
               std::max(absl::ZeroDuration(), GraceEnd(turn.state(), job, attempt) - turn.now()),
               CauseWithLastLine(attempt.facts.cause()));
    } else if (share.reported) {
      SendSave(turn, job, attempt, *node);
    } else {
      SendStart(turn, job, attempt, static_cast<size_t>(&share - attempt.shares.data()), *node);
    }
    share.next_order = turn.now() + turn.state().options.order_repeat;
  }
  turn.state().orders.Hasten(job.id, share.next_order);
}

void SendOrders(Turn& turn, Job& job) {
  Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr) return;
  for (Share& share : attempt->shares) SendOrder(turn, job, share);
}

void SendDueOrders(Turn& turn) {
  while (const auto id = turn.state().orders.Take(turn.now())) {
    SendOrders(turn, *turn.state().jobs.Find(*id));
  }
}

void CheckMissingShares(Turn& turn) {
  ClusterState& state = turn.state();
  while (const auto due = state.missing_shares.Take(turn.now())) {
    const Node& node = *state.nodes.Find(*due);
    if (!node.session) continue;  // a new hello will tell
    bool still_missing = false;
    for (const JobId id : std::set<JobId>(node.jobs)) {
      Job& job = *state.jobs.Find(id);
      Attempt* attempt = job.LiveAttempt();
      const Share* share = attempt == nullptr ? nullptr : attempt->ShareOf(node.name);
      if (share == nullptr || !attempt->good() || share->reported || share->done()) continue;
      if (attempt->facts.state() == v1::ATTEMPT_STATE_RUNNING || MissedARestart(node, *share)) {
        FailAttempt(
            turn, job,
            {NodeEvidence(turn, v1::EVIDENCE_KIND_NODE_GONE, node,
                          fmt::format("{} is back but no longer has its ranks of attempt {}",
                                      node.name.value(), attempt->facts.number()))});
      } else {
        still_missing = true;  // it may yet start them
      }
    }
    if (still_missing)
      state.missing_shares.Set(node.name, turn.now() + state.options.reconnect_grace);
  }
}

}  // namespace muster::coordinator::core
