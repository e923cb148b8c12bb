#include "coordinator/scheduler/domain_tree.h"

#include <algorithm>
#include <numeric>

#include "coordinator/scheduler/natural_order.h"

namespace muster::coordinator::scheduler {

DomainTree BuildDomainTree(const Inventory& inventory) {
  DomainTree tree;
  tree.order.resize(inventory.size());
  std::iota(tree.order.begin(), tree.order.end(), 0u);
  constexpr v1::Domain kKinds[] = {v1::DOMAIN_POD, v1::DOMAIN_RACK, v1::DOMAIN_NVLINK};
  std::sort(tree.order.begin(), tree.order.end(), [&](NodeIndex a, NodeIndex b) {
    for (const v1::Domain kind : kKinds) {
      const DomainIndex in_a = inventory.domain(a, kind);
      const DomainIndex in_b = inventory.domain(b, kind);
      if (in_a == in_b) continue;
      const std::string& name_a = inventory.domain_name(in_a, kind);
      const std::string& name_b = inventory.domain_name(in_b, kind);
      // A stated name may be the name of a node, too.
      return name_a == name_b ? in_a < in_b : NaturalLess(name_a, name_b);
    }
    return NaturalLess(inventory.facts(a).name.value(), inventory.facts(b).name.value());
  });
  tree.leaf_of.resize(tree.order.size());
  NodeIndex before = Inventory::kNone;
  for (uint32_t leaf = 0; leaf < tree.order.size(); ++leaf) {
    const NodeIndex node = tree.order[leaf];
    tree.leaf_of[node] = leaf;
    const auto begins = [&](v1::Domain kind) {
      return before == Inventory::kNone ||
             inventory.domain(before, kind) != inventory.domain(node, kind);
    };
    const bool pod = begins(v1::DOMAIN_POD);
    const bool rack = pod || begins(v1::DOMAIN_RACK);
    const bool segment = rack || begins(v1::DOMAIN_NVLINK);
    if (pod) tree.pod_begin.push_back(static_cast<uint32_t>(tree.rack_begin.size()));
    if (rack) {
      tree.rack_begin.push_back(static_cast<uint32_t>(tree.segment_begin.size()));
      tree.pod_of.push_back(static_cast<uint32_t>(tree.pod_begin.size() - 1));
    }
    if (segment) {
      tree.segment_begin.push_back(leaf);
      tree.rack_of.push_back(static_cast<uint32_t>(tree.rack_begin.size() - 1));
    }
    tree.segment_of.push_back(static_cast<uint32_t>(tree.segment_begin.size() - 1));
    before = node;
  }
  tree.pod_begin.push_back(static_cast<uint32_t>(tree.rack_begin.size()));
  tree.rack_begin.push_back(static_cast<uint32_t>(tree.segment_begin.size()));
  tree.segment_begin.push_back(static_cast<uint32_t>(tree.order.size()));
  return tree;
}

}  // namespace muster::coordinator::scheduler
