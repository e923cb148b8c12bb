#include "coordinator/core/parity.h"

#include <algorithm>
#include <set>

namespace muster::coordinator::core {
namespace {

constexpr size_t kTriedAllUpTo = 64;  // shares; of more, only some strides are looked at
constexpr size_t kSourcesMax = 66;    // told to a node: two groups of the largest

std::vector<size_t> InOrder(size_t shares, uint32_t stride) {
  std::vector<size_t> order;
  order.reserve(shares);
  for (size_t first = 0; first < stride; ++first) {
    for (size_t at = first; at < shares; at += stride) order.push_back(at);
  }
  return order;
}

// The longest run of places that follow one another in one domain.
template <typename Domain>
uint32_t LongestRun(const std::vector<ReplicaPlace>& places, const Domain& domain) {
  uint32_t longest = 1, run = 1;
  for (size_t i = 1; i < places.size(); ++i) {
    run = domain(places[i]) == domain(places[i - 1]) ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  return longest;
}

std::vector<uint32_t> StridesToTry(const std::vector<ReplicaPlace>& places, uint32_t group) {
  const size_t shares = places.size();
  // As far apart as numbers allow; one in each rack, or pod, in turn.
  std::vector<uint32_t> strides = {
      static_cast<uint32_t>(std::max<size_t>(1, shares / group)),
      LongestRun(places, [](const ReplicaPlace& at) { return at.location.rack(); }),
      LongestRun(places, [](const ReplicaPlace& at) { return at.location.pod(); })};
  for (uint32_t stride = 1; stride < shares;
       stride = shares <= kTriedAllUpTo ? stride + 1 : stride * 2) {
    strides.push_back(stride);
  }
  return strides;
}

}  // namespace

std::vector<std::vector<size_t>> ParityGroups(size_t shares, uint32_t group, uint32_t stride) {
  if (shares < 2 || group < 2 || stride == 0) return {};
  const std::vector<size_t> order = InOrder(shares, stride);
  const size_t count = std::max<size_t>(1, shares / group);
  std::vector<std::vector<size_t>> groups(count);
  for (size_t i = 0; i < count; ++i) {
    const auto place = [&](size_t at) { return order.begin() + static_cast<long>(at); };
    groups[i].assign(place(i * shares / count), place((i + 1) * shares / count));
  }
  return groups;
}

std::vector<size_t> ParityGroupOf(size_t shares, uint32_t group, uint32_t stride, size_t index) {
  for (std::vector<size_t>& members : ParityGroups(shares, group, stride)) {
    if (std::find(members.begin(), members.end(), index) != members.end()) {
      return std::move(members);
    }
  }
  return {};
}

uint32_t ParityStride(const std::vector<ReplicaPlace>& places, uint32_t tensor, uint32_t group) {
  uint32_t best = 1;
  uint64_t best_score = 0;
  const size_t pairs = places.size() * group;  // a bound will do
  for (const uint32_t stride : StridesToTry(places, std::max(1u, group))) {
    uint64_t score = 0;
    for (const std::vector<size_t>& members : ParityGroups(places.size(), group, stride)) {
      for (size_t i = 0; i < members.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          score += ApartScore(places[members[i]], places[members[j]], std::max(1u, tensor), pairs);
        }
      }
    }
    if (score <= best_score) continue;
    best = stride;
    best_score = score;
  }
  return best;
}

void PlanParity(const v1::CheckpointSpec& checkpoint,
                const google::protobuf::RepeatedPtrField<v1::Axis>& mesh, const NodeTable& nodes,
                v1::AttemptStarted* started) {
  if (started->shares_size() < 2) return;
  const uint32_t group = checkpoint.ram_parity() + 1;
  started->set_parity_group(group);
  started->set_parity_stride(
      ParityStride(PlacesOf(started->shares(), nodes), TensorSizeOf(mesh), group));
}

void AddParity(const Job& job, const Attempt& attempt, size_t index, const NodeTable& nodes,
               v1::StartRanks* start) {
  const auto group_of = [](const v1::Attempt& facts, size_t share) {
    return ParityGroupOf(static_cast<size_t>(facts.shares_size()), facts.parity_group(),
                         facts.parity_stride(), share);
  };
  const auto holder = [](const v1::NodeShare& share) {
    return SlotHolder{NodeId(share.node()), share.first_rank(), share.ranks()};
  };
  for (const size_t member : group_of(attempt.facts, index)) {
    const v1::NodeShare& share = attempt.facts.shares(static_cast<int>(member));
    const Node* node = nodes.Find(NodeId(share.node()));
    v1::SlotSource* to = start->add_parity_group();
    to->set_node(share.node());
    to->set_first_rank(share.first_rank());
    to->set_ranks(share.ranks());
    if (node != nullptr) to->set_peer_address(node->peer_address);
  }
  const v1::NodeShare& own = attempt.facts.shares(static_cast<int>(index));
  std::vector<SlotHolder> sources;
  for (const v1::Attempt* before : AttemptsInMemory(job, attempt.facts.number())) {
    if (before->parity_group() == 0) continue;
    std::set<size_t> members;
    for (int i = 0; i < before->shares_size(); ++i) {
      const v1::NodeShare& share = before->shares(i);
      if (share.first_rank() >= own.first_rank() + own.ranks() ||
          own.first_rank() >= share.first_rank() + share.ranks()) {
        continue;
      }
      const std::vector<size_t> group = group_of(*before, static_cast<size_t>(i));
      members.insert(group.begin(), group.end());
    }
    for (const size_t member : members) {
      const SlotHolder one = holder(before->shares(static_cast<int>(member)));
      if (std::find(sources.begin(), sources.end(), one) == sources.end()) sources.push_back(one);
    }
  }
  size_t told = 0;
  for (const SlotHolder& source : sources) {
    if (told == kSourcesMax) break;
    if (AddSource(source, nodes, start->mutable_parity_sources())) ++told;
  }
}

}  // namespace muster::coordinator::core
