// What people do about a node's quarantine.
#include <utility>

#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/request_use.h"

namespace muster::coordinator::core {
namespace {

// The node a request is about, or was about when it came first.
absl::StatusOr<Node*> NodeFor(ClusterState& state, const RequestUse* earlier,
                              const std::string& named) {
  const NodeId name = earlier != nullptr ? earlier->node : NodeId(named);
  Node* node = state.nodes.Find(name);
  if (node != nullptr) return node;
  return NotFound("node {}: no worker of this name has joined; `muster node list` shows all",
                  name.value());
}

v1::Record RecordOf(const Node& node, v1::Quarantine quarantine, const std::string& reason,
                    const std::string& request_id) {
  v1::Record record;
  v1::NodeQuarantineSet* set = record.mutable_node_quarantine_set();
  set->set_node(node.name.value());
  set->set_quarantine(quarantine);
  set->set_reason(reason);
  set->set_request_id(request_id);
  set->set_by_person(true);
  return record;
}

absl::StatusOr<v1::SetNodeQuarantineResponse> SetQuarantine(
    Turn& turn, const v1::SetNodeQuarantineRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier, EarlierUse(state, request.request_id(),
                                                                RequestUse::Call::kSetQuarantine));
  MUSTER_ASSIGN_OR_RETURN(Node * node, NodeFor(state, earlier, request.node()));
  const bool cool = request.quarantine() == v1::QUARANTINE_COOLING;
  if (!cool && request.quarantine() != v1::QUARANTINE_NONE) {
    return InvalidArgument("quarantine node {}: ask for COOLING (keep work away) or NONE (release)",
                           node->name.value());
  }
  const NodeHealth& health = node->health;
  const int64_t until = request.cool_down_ms() == 0
                            ? 0
                            : turn.now_ms() + static_cast<int64_t>(request.cool_down_ms());
  const bool same = cool ? health.quarantine == v1::QUARANTINE_COOLING && health.by_person &&
                               health.reason == request.reason() && until == 0 &&
                               health.until_unix_ms == 0
                         : health.quarantine == v1::QUARANTINE_NONE;
  if (earlier == nullptr && !same && !request.validate_only()) {
    std::string reason = request.reason();
    if (reason.empty()) reason = cool ? "by a person" : "released by a person";
    v1::Record record = RecordOf(*node, request.quarantine(), reason, request.request_id());
    record.mutable_node_quarantine_set()->set_until_unix_ms(until);
    turn.Record(std::move(record));
    PlanIfNeeded(turn);
  }
  v1::SetNodeQuarantineResponse response;
  *response.mutable_node() = NodeView(state, *node);
  return response;
}

absl::StatusOr<v1::TestNodeResponse> OrderTest(Turn& turn, const v1::TestNodeRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kTestNode));
  MUSTER_ASSIGN_OR_RETURN(Node * node, NodeFor(state, earlier, request.node()));
  if (earlier == nullptr && node->State() != v1::NODE_STATE_READY) {
    return FailedPrecondition("test node {}: its worker is not connected; start it first",
                              node->name.value());
  }
  if (earlier == nullptr && !request.validate_only() &&
      node->health.quarantine != v1::QUARANTINE_TESTING) {
    turn.Record(RecordOf(*node, v1::QUARANTINE_TESTING,
                         request.reason().empty() ? "a person asked for it" : request.reason(),
                         request.request_id()));
  }
  v1::TestNodeResponse response;
  *response.mutable_node() = NodeView(state, *node);
  response.set_test(node->health.tests);
  return response;
}

}  // namespace

void OnSetNodeQuarantine(Turn& turn, const SetNodeQuarantine& input) {
  turn.Answer(input.token, SetQuarantine(turn, input.request));
}

void OnTestNode(Turn& turn, const TestNode& input) {
  turn.Answer(input.token, OrderTest(turn, input.request));
}

}  // namespace muster::coordinator::core
