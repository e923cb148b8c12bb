// What rarely changes about the nodes: names, facts, domains. Copies of an inventory share it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/scheduler/inventory.h"

namespace muster::coordinator::scheduler {

// The domains of one kind. A stated name is a domain; unstated, the next smaller domain is.
class DomainNames {
 public:
  // `inside`: the number and name of the next smaller domain.
  DomainIndex Intern(const std::string& stated, DomainIndex inside, const std::string& its_name);
  const std::string& name(DomainIndex domain) const { return names_[domain]; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, DomainIndex> stated_;
  std::map<DomainIndex, DomainIndex> unstated_;
};

struct Roster {
  static constexpr size_t kNvlink = 0, kRack = 1, kPod = 2;

  // Numbers the node and its domains; `node` is that of a node that has facts, or the next one.
  void Set(NodeIndex node, const NodeFacts& facts);

  std::map<NodeId, NodeIndex> by_name;
  std::vector<std::shared_ptr<const NodeFacts>> facts;
  std::vector<uint32_t> kind;
  std::map<std::string, uint32_t> kinds;
  std::array<DomainNames, 3> names;
  std::array<std::vector<DomainIndex>, 3> domain;  // by node
};

bool SameFacts(const NodeFacts& a, const NodeFacts& b);

}  // namespace muster::coordinator::scheduler
