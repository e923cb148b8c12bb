#include <fmt/format.h>

#include <algorithm>

#include "common/duration.h"
#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/room.h"

namespace muster::coordinator::core {
namespace {

absl::Status WhyRefused(const ClusterState& state, const Node* known,
                        const v1::WorkerHello& hello) {
  if (hello.node().empty()) return InvalidArgument("a worker said hello without a node name");
  if (!hello.cluster_id().empty() && hello.cluster_id() != state.cluster_id) {
    return FailedPrecondition(
        "worker {} belongs to cluster {}, this coordinator runs cluster {}; point the worker at "
        "its "
        "own coordinator, or give it an empty state folder to join this one",
        hello.node(), hello.cluster_id(), state.cluster_id);
  }
  if (hello.highest_epoch() > state.epoch.value()) {
    return FailedPrecondition(
        "worker {} has seen epoch {}, this coordinator is at epoch {}: it runs on an old copy of "
        "its state; stop it and start the newer one",
        hello.node(), hello.highest_epoch(), state.epoch.value());
  }
  if (hello.highest_epoch() == state.epoch.value() && hello.epoch_nonce() != 0 &&
      state.nonce != 0 && hello.epoch_nonce() != state.nonce) {
    return FailedPrecondition(
        "worker {} obeys another coordinator of epoch {}: two run on copies of one state folder; "
        "stop the one that is not wanted, then restart the other",
        hello.node(), hello.highest_epoch());
  }
  if (known != nullptr && hello.incarnation() < known->incarnation) {
    return absl::AbortedError(fmt::format(
        "worker {} says incarnation {}, but incarnation {} has joined; this is the older process: "
        "end it",
        hello.node(), hello.incarnation(), known->incarnation));
  }
  return absl::OkStatus();
}

bool SameDevices(const Node& node, const v1::WorkerHello& hello) {
  if (node.devices.size() != static_cast<size_t>(hello.devices_size())) return false;
  for (size_t i = 0; i < node.devices.size(); ++i) {
    const v1::Device& was = node.devices[i];
    const v1::Device& is = hello.devices(static_cast<int>(i));
    if (was.slot() != is.slot() || was.kind() != is.kind() || was.uuid() != is.uuid()) return false;
  }
  return true;
}

bool SameLabels(const Node& node, const v1::WorkerHello& hello) {
  return std::equal(node.labels.begin(), node.labels.end(), hello.labels().begin(),
                    hello.labels().end(), [](const v1::Label& was, const v1::Label& is) {
                      return was.name() == is.name() && was.value() == is.value();
                    });
}

bool SamePlace(const v1::Location& was, const v1::Location& is) {
  return was.rack() == is.rack() && was.pod() == is.pod() && was.nvlink() == is.nvlink();
}

// Does the hello say anything that is not recorded?
bool Changed(const Node* known, const v1::WorkerHello& hello) {
  return known == nullptr || known->dead || known->incarnation != hello.incarnation() ||
         known->slots != hello.slots() || known->peer_address != hello.peer_address() ||
         !SamePlace(known->location, hello.location()) || !SameDevices(*known, hello) ||
         !SameLabels(*known, hello) ||
         !std::equal(known->taints.begin(), known->taints.end(), hello.taints().begin(),
                     hello.taints().end());
}

v1::Record JoinedRecord(const v1::WorkerHello& hello) {
  v1::Record record;
  v1::NodeJoined* joined = record.mutable_node_joined();
  joined->set_node(hello.node());
  joined->set_incarnation(hello.incarnation());
  joined->set_slots(hello.slots());
  *joined->mutable_devices() = hello.devices();
  joined->set_peer_address(hello.peer_address());
  *joined->mutable_location() = hello.location();
  *joined->mutable_labels() = hello.labels();
  *joined->mutable_taints() = hello.taints();
  return record;
}

void SendWelcome(Turn& turn, const Node& node) {
  const Options& options = turn.state().options;
  const auto ms = [](absl::Duration duration) {
    return static_cast<uint32_t>(absl::ToInt64Milliseconds(duration));
  };
  v1::CoordinatorMessage message;
  v1::Welcome* welcome = message.mutable_welcome();
  welcome->set_cluster_id(turn.state().cluster_id);
  welcome->set_heartbeat_interval_ms(ms(options.heartbeat_interval));
  welcome->set_lease_ms(ms(options.dead_after));
  welcome->set_reconnect_jitter_ms(ms(options.reconnect_jitter));
  turn.Send(node, std::move(message));
}

Share* LiveShare(ClusterState& state, JobId id, const NodeId& node) {
  Attempt* attempt = state.jobs.Find(id)->LiveAttempt();
  return attempt == nullptr ? nullptr : attempt->ShareOf(node);
}

}  // namespace

void OnWorkerConnected(Turn& turn, const WorkerConnected& input) {
  ClusterState& state = turn.state();
  const v1::WorkerHello& hello = input.hello;
  const NodeId name(hello.node());
  if (absl::Status refused = WhyRefused(state, state.nodes.Find(name), hello); !refused.ok()) {
    turn.Close(input.session, std::move(refused));
    return;
  }
  if (Changed(state.nodes.Find(name), hello)) turn.Record(JoinedRecord(hello));
  Node& node = state.nodes.FindOrAdd(name);
  if (node.session) {
    turn.Close(*node.session,
               absl::AbortedError(
                   fmt::format("worker {} connected anew; this stream is replaced", name.value())));
    state.nodes.Unbind(node);
  }
  state.nodes.Bind(node, input.session);
  state.awaited.erase(name);
  node.connected_at = turn.now();
  node.heard_before = node.lease.heard;
  node.lease = Lease{.connected = true, .heard = turn.now(), .give_up_at = {}, .broken = ""};
  node.stale.clear();
  node.goodbye = false;
  if (node.health.kept_from_work() && node.health.until_unix_ms <= turn.now_ms()) {
    // A test it was to make, or is to make now.
    const bool endless =
        node.health.quarantine == v1::QUARANTINE_COOLING && node.health.until_unix_ms == 0;
    if (!endless) state.quarantine.due.Hasten(name, turn.now());
  }
  Rejudge(turn, node);
  RefreshUsable(state, node);
  state.plan_needed = true;
  SendWelcome(turn, node);
  for (const JobId id : std::set<JobId>(node.jobs)) {
    if (Share* share = LiveShare(state, id, name)) {
      share->reported = false;  // the hello tells anew
      share->next_order = absl::InfinitePast();
      state.missing_shares.Set(name, turn.now() + state.options.reconnect_grace);
    }
  }
  for (const v1::AttemptReport& report : hello.attempts()) OnAttemptReport(turn, node, report);
  for (const JobId id : std::set<JobId>(node.jobs)) {
    if (Share* share = LiveShare(state, id, name)) SendOrder(turn, *state.jobs.Find(id), *share);
  }
}

void OnWorkerDisconnected(Turn& turn, const WorkerDisconnected& input) {
  ClusterState& state = turn.state();
  Node* node = state.nodes.BySession(input.session);
  if (node == nullptr) return;  // an old stream that was replaced or refused
  state.nodes.Unbind(*node);
  node->lease.connected = false;
  node->lease.give_up_at = turn.now() + state.options.dead_after;
  node->lease.broken = input.why.empty() ? "connection lost" : input.why;
  Rejudge(turn, *node);
}

void Rejudge(Turn& turn, Node& node) {
  ClusterState& state = turn.state();
  state.leases.Set(node.name, NextChange(node.lease, turn.now(), state.options));
  Liveness seen = Judge(node.lease, turn.now(), state.options);
  if (seen.state == node.liveness.state && seen.reason == node.liveness.reason) return;
  node.liveness = std::move(seen);
  RefreshUsable(state, node);
}

void CheckLeases(Turn& turn) {
  ClusterState& state = turn.state();
  while (const auto due = state.leases.Take(turn.now())) {
    Node& node = *state.nodes.Find(*due);
    if (node.dead) continue;
    Rejudge(turn, node);
    if (node.liveness.state != v1::NODE_STATE_DEAD) continue;
    const std::string why = node.liveness.reason;
    if (node.session) {
      turn.Close(*node.session, absl::UnavailableError(fmt::format(
                                    "worker {} was {} and is declared dead; connect again",
                                    node.name.value(), why)));
      state.nodes.Unbind(node);
      node.lease.connected = false;
      node.lease.give_up_at = turn.now();
      node.lease.broken = why;
    }
    state.awaited.erase(node.name);
    LoseNode(turn, node, why);
  }
}

}  // namespace muster::coordinator::core
