#include "coordinator/core/node_table.h"

#include <fmt/format.h>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

const char* Word(v1::NodeAdmission admission) {
  switch (admission) {
    case v1::NODE_ADMISSION_OPEN:
      return "open";
    case v1::NODE_ADMISSION_CORDONED:
      return "cordoned";
    case v1::NODE_ADMISSION_DRAINING:
      return "draining";
    case v1::NODE_ADMISSION_DRAINED:
      return "drained";
    case v1::NODE_ADMISSION_UNSPECIFIED:
    case v1::NodeAdmission_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::NodeAdmission_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "unspecified";
}

}  // namespace

std::string AdmissionText(v1::NodeAdmission admission, const std::string& reason) {
  if (reason.empty()) return Word(admission);
  return fmt::format("{} ({})", Word(admission), reason);
}

std::string Node::WhyNot() const {
  if (admission != v1::NODE_ADMISSION_OPEN) return AdmissionText(admission, admission_reason);
  if (State() == v1::NODE_STATE_DEAD) return "dead";
  if (State() != v1::NODE_STATE_READY) return "suspect";
  if (health.quarantine == v1::QUARANTINE_COOLING) {
    return fmt::format("quarantined ({})", health.reason);
  }
  if (health.quarantine == v1::QUARANTINE_TESTING) return "being tested";
  if (!stale.empty()) {
    const auto& [job, attempt] = *stale.begin();
    return fmt::format("still clearing away attempt {} of job {}", attempt.value(), job.value());
  }
  return "";
}

NodeTable::NodeTable(const NodeTable& other) : nodes_(other.nodes_) {
  for (auto& [name, node] : nodes_) {
    if (node.session) sessions_.emplace(*node.session, &node);
  }
}

Node* NodeTable::Find(const NodeId& name) {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : &found->second;
}

const Node* NodeTable::Find(const NodeId& name) const {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : &found->second;
}

Node& NodeTable::FindOrAdd(const NodeId& name) {
  Node& node = nodes_[name];
  node.name = name;
  return node;
}

Node* NodeTable::BySession(SessionId session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second;
}

void NodeTable::Bind(Node& node, SessionId session) {
  CHECK(!node.session, "node {} has a session already", node.name.value());
  node.session = session;
  sessions_.emplace(session, &node);
}

void NodeTable::Unbind(Node& node) {
  if (!node.session) return;
  sessions_.erase(*node.session);
  node.session.reset();
}

}  // namespace muster::coordinator::core
