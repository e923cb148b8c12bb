// The nodes of the cluster, by name: what is recorded about each, and what its worker says now.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/quarantine.h"
#include "coordinator/scheduler/inventory.h"
#include "muster/v1/node.pb.h"

namespace muster::coordinator::core {

using AttemptKey = std::pair<JobId, AttemptNumber>;

struct Node {
  NodeId name;
  // Durable.
  bool dead = false;
  std::string dead_reason;
  int64_t dead_unix_ms = 0;  // when it was last given up
  uint64_t incarnation = 0;
  uint32_t slots = 0;
  std::vector<v1::Device> devices;
  std::string peer_address;
  v1::Location location;
  v1::NodeAdmission admission = v1::NODE_ADMISSION_OPEN;
  std::string admission_reason;
  std::vector<v1::Label> labels;
  std::vector<std::string> taints;
  std::set<JobId> jobs;                                      // with attempts that hold slots of it
  scheduler::NodeIndex index = scheduler::Inventory::kNone;  // in the inventory
  NodeHealth health;
  // Said again by the worker after a crash.
  std::optional<SessionId> session;
  absl::Time connected_at = absl::InfinitePast();
  absl::Time heard_before = absl::InfinitePast();  // the newest message but the last
  Lease lease;
  Liveness liveness;           // as of the last look
  std::set<AttemptKey> stale;  // processes it must still get rid of
  bool goodbye = false;        // its worker ended as it was told to

  v1::NodeState State() const { return dead ? v1::NODE_STATE_DEAD : liveness.state; }
  // May get new ranks. If not, WhyNot says: "drained (lemon)".
  bool Usable() const { return WhyNot().empty(); }
  std::string WhyNot() const;
};

class NodeTable {
 public:
  NodeTable() = default;
  NodeTable(const NodeTable& other);
  NodeTable& operator=(const NodeTable&) = delete;

  Node* Find(const NodeId& name);
  const Node* Find(const NodeId& name) const;
  Node& FindOrAdd(const NodeId& name);
  Node* BySession(SessionId session);
  void Bind(Node& node, SessionId session);
  void Unbind(Node& node);

  std::map<NodeId, Node>& all() { return nodes_; }
  const std::map<NodeId, Node>& all() const { return nodes_; }

 private:
  std::map<NodeId, Node> nodes_;
  std::map<SessionId, Node*> sessions_;
};

// "drained (lemon)", "cordoned", "open".
std::string AdmissionText(v1::NodeAdmission admission, const std::string& reason);

}  // namespace muster::coordinator::core
