#include <fmt/format.h>

#include <algorithm>

#include "coordinator/core/causes.h"
#include "coordinator/core/gang_order.h"
#include "coordinator/core/grace.h"
#include "coordinator/core/handlers.h"

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
  turn.Send(node, std::move(message));
}

bool MissedARestart(const Node& node, const Share& share) {
  return node.incarnation != share.placed_incarnation;
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
  // A share given up with its node is stopped all the same when the node is back.
  if (share.stopped || turn.now() < share.next_order) return;
  const Node* node = turn.state().nodes.Find(share.node);
  if (!node->session) return;
  if (attempt.stopping()) {
    SendStop(turn, *node, AttemptKey(job.id, AttemptNumber(attempt.facts.number())),
             std::max(absl::ZeroDuration(), GraceEnd(turn.state(), job, attempt) - turn.now()),
             CauseWithLastLine(attempt.facts.cause()));
  } else if (attempt.facts.state() == v1::ATTEMPT_STATE_STARTING && !share.reported &&
             !MissedARestart(*node, share)) {
    SendStart(turn, job, attempt, static_cast<size_t>(&share - attempt.shares.data()), *node);
  } else {
    return;
  }
  share.next_order = turn.now() + turn.state().options.order_repeat;
}

void SendOrders(Turn& turn, Job& job) {
  Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr) return;
  for (Share& share : attempt->shares) SendOrder(turn, job, share);
}

void SendAllOrders(Turn& turn) {
  for (const JobId id : turn.state().jobs.active()) SendOrders(turn, *turn.state().jobs.Find(id));
}

void CheckMissingShares(Turn& turn) {
  ClusterState& state = turn.state();
  const std::set<JobId> active = state.jobs.active();  // a stop may end jobs
  for (const JobId id : active) {
    Job& job = *state.jobs.Find(id);
    Attempt* attempt = job.LiveAttempt();
    if (attempt == nullptr || !attempt->good()) continue;
    for (const Share& share : attempt->shares) {
      const Node* node = state.nodes.Find(share.node);
      if (share.reported || share.done() || !node->session) continue;
      const bool should_have =
          attempt->facts.state() == v1::ATTEMPT_STATE_RUNNING || MissedARestart(*node, share);
      if (!should_have || turn.now() < node->connected_at + state.options.reconnect_grace) continue;
      StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_NODE_LOST,
                  CauseOnNode(share.node,
                              fmt::format("{} is back but no longer has its ranks of attempt {}",
                                          share.node.value(), attempt->facts.number())));
      break;
    }
  }
}

}  // namespace muster::coordinator::core
