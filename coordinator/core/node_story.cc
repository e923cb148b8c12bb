// What is remembered of one node, for whoever asks.
#include "common/status.h"
#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {

absl::StatusOr<v1::GetNodeResponse> Cluster::GetNode(const v1::GetNodeRequest& request) const {
  const Node* node = state_->nodes.Find(NodeId(request.node()));
  if (node == nullptr) {
    return NotFound("node {}: no worker of this name has joined; `muster node list` shows all",
                    request.node());
  }
  const NodeHealth& health = node->health;
  const int64_t now_ms = std::max(absl::ToUnixMillis(state_->now), state_->record_unix_ms);
  v1::GetNodeResponse response;
  *response.mutable_node() = NodeView(*state_, *node);
  const std::vector<double> counts = Counts(health, now_ms, state_->options.quarantine);
  for (size_t i = health.faults.size(); i-- > 0;) {
    const Fault& fault = health.faults[i];
    v1::NodeFault* view = response.add_faults();
    view->set_time_unix_ms(fault.unix_ms);
    view->mutable_jobs()->Assign(fault.jobs.begin(), fault.jobs.end());
    view->set_weight(fault.weight);
    view->set_counts(counts[i]);
    view->set_text(fault.text);
    view->set_taken_back(fault.taken_back);
  }
  response.mutable_quarantine()->Assign(health.changes.rbegin(), health.changes.rend());
  response.mutable_tests()->Assign(health.reports.rbegin(), health.reports.rend());
  return response;
}

}  // namespace muster::coordinator::core
