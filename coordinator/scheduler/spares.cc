#include "coordinator/scheduler/spares.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "coordinator/scheduler/domain_tree.h"

namespace muster::coordinator::scheduler {
namespace {

// Sorted ascending: the best first. The last two are the place in the tree and the node.
using Candidate = std::tuple<bool, int64_t, int64_t, int64_t, uint32_t, NodeIndex>;

}  // namespace

std::vector<NodeIndex> ChooseSpares(const Gang& gang, const Inventory& inventory,
                                    const NodeRules& rules,
                                    const std::vector<v1::NodeShare>& shares) {
  const uint32_t wanted = gang.shape->SparesFor(shares.size());
  if (wanted == 0) return {};
  constexpr std::array<v1::Domain, 3> kKinds = {v1::DOMAIN_NVLINK, v1::DOMAIN_RACK, v1::DOMAIN_POD};
  std::array<std::map<DomainIndex, int64_t>, 3> ranks_in;
  std::vector<bool> used(inventory.size());
  uint32_t largest = 0;
  for (const v1::NodeShare& share : shares) {
    const NodeIndex node = inventory.Find(NodeId(share.node()));
    used[node] = true;
    largest = std::max(largest, static_cast<uint32_t>(share.slots_size()));
    for (size_t i = 0; i < kKinds.size(); ++i) {
      ranks_in[i][inventory.domain(node, kKinds[i])] += share.ranks();
    }
  }
  std::vector<Candidate> candidates;
  uint32_t leaf = 0;
  for (const NodeIndex node : inventory.tree().order) {
    ++leaf;
    const JobId owner = inventory.spare_for(node);
    if (used[node] || !inventory.idle(node) || (owner != JobId() && owner != gang.job)) continue;
    if (rules.Room(node) < std::max(largest, inventory.slots(node))) continue;
    std::array<int64_t, 3> close = {};
    for (size_t i = 0; i < kKinds.size(); ++i) {
      const auto found = ranks_in[i].find(inventory.domain(node, kKinds[i]));
      if (found != ranks_in[i].end()) close[i] = -found->second;
    }
    candidates.emplace_back(owner != gang.job, close[0], close[1], close[2], leaf, node);
  }
  const size_t count = std::min<size_t>(wanted, candidates.size());
  const auto middle = candidates.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(candidates.begin(), middle, candidates.end());
  std::vector<NodeIndex> spares;
  for (auto at = candidates.begin(); at != middle; ++at) spares.push_back(std::get<5>(*at));
  return spares;
}

}  // namespace muster::coordinator::scheduler
