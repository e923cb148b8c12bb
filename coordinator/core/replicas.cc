#include "coordinator/core/replicas.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator::core {
namespace {

constexpr size_t kTriedAllUpTo = 64;  // shares; of more, only these shifts are looked at
constexpr size_t kHoldersMax = 16;    // told to a node
constexpr int kAttemptsLookedAt = 4;  // that sealed something, or went on from it

using Shares = google::protobuf::RepeatedPtrField<v1::NodeShare>;

std::vector<uint32_t> ShiftsToTry(size_t shares) {
  std::vector<uint32_t> shifts;
  const auto half = static_cast<uint32_t>(shares / 2);
  shifts.push_back(half);
  for (uint32_t shift = 1; shift < shares;
       shift = shares <= kTriedAllUpTo ? shift + 1 : shift * 2) {
    shifts.push_back(shift);
  }
  return shifts;
}

void AddHolders(const v1::Attempt& attempt, uint32_t begin, uint32_t end,
                std::vector<SlotHolder>* holders) {
  const Shares& shares = attempt.shares();
  const auto first = std::partition_point(
      shares.begin(), shares.end(),
      [begin](const v1::NodeShare& share) { return share.first_rank() + share.ranks() <= begin; });
  const auto add = [&](const std::string& node, uint32_t from, uint32_t to) {
    holders->push_back({NodeId(node), from, to - from});
  };
  for (auto at = first; at != shares.end() && at->first_rank() < end; ++at) {
    const uint32_t from = std::max(begin, at->first_rank());
    const uint32_t to = std::min(end, at->first_rank() + at->ranks());
    add(at->node(), from, to);
    if (attempt.replica_shift() == 0) continue;
    const auto partner = (static_cast<size_t>(at - shares.begin()) + attempt.replica_shift()) %
                         static_cast<size_t>(shares.size());
    add(shares[static_cast<int>(partner)].node(), from, to);
  }
}
}  // namespace

uint64_t ApartScore(const ReplicaPlace& one, const ReplicaPlace& other, uint32_t tensor,
                    size_t pairs) {
  const auto groups = [tensor](const ReplicaPlace& place) {
    return std::pair(place.first_rank / tensor, (place.first_rank + place.ranks - 1) / tensor);
  };
  const auto [first, last] = groups(one);
  const auto [other_first, other_last] = groups(other);
  const bool group = last < other_first || other_last < first;
  const bool rack =
      one.location.rack() != other.location.rack() || one.location.pod() != other.location.pod();
  const bool pod = one.location.pod() != other.location.pod();
  const uint64_t more = pairs + 1;
  return ((group ? more : 0) + (rack ? 1 : 0)) * more + (pod ? 1 : 0);
}

uint32_t WorldSizeOf(const Shares& shares) {
  if (shares.empty()) return 0;
  const v1::NodeShare& last = shares[shares.size() - 1];
  return last.first_rank() + last.ranks();
}

std::vector<ReplicaPlace> PlacesOf(const Shares& shares, const NodeTable& nodes) {
  std::vector<ReplicaPlace> places;
  for (const v1::NodeShare& share : shares) {
    places.push_back({share.first_rank(), share.ranks(), {}});
    if (const Node* node = nodes.Find(NodeId(share.node())))
      places.back().location = node->location;
  }
  return places;
}

uint32_t TensorSizeOf(const google::protobuf::RepeatedPtrField<v1::Axis>& mesh) {
  const bool inner = !mesh.empty() && mesh[mesh.size() - 1].name() == "tensor";
  return inner ? std::max(1u, mesh[mesh.size() - 1].size()) : 1;
}

uint32_t ReplicaShift(const std::vector<ReplicaPlace>& places, uint32_t tensor) {
  if (places.size() < 2) return 0;
  uint32_t best = 0;
  uint64_t best_score = 0;
  for (const uint32_t shift : ShiftsToTry(places.size())) {
    uint64_t score = 1;
    for (size_t i = 0; i < places.size(); ++i) {
      score += ApartScore(places[i], places[(i + shift) % places.size()], std::max(1u, tensor),
                          places.size());
    }
    if (score <= best_score) continue;
    best = shift;
    best_score = score;
  }
  return best;
}

uint32_t ReplicaShift(const Shares& shares,
                      const google::protobuf::RepeatedPtrField<v1::Axis>& mesh,
                      const NodeTable& nodes) {
  return ReplicaShift(PlacesOf(shares, nodes), TensorSizeOf(mesh));
}

std::vector<const v1::Attempt*> AttemptsInMemory(const Job& job, uint64_t number) {
  std::vector<const v1::Attempt*> attempts;
  uint32_t world_size = 0;
  int looked_at = 0;
  for (auto at = job.attempts.rbegin(); at != job.attempts.rend(); ++at) {
    const v1::Attempt& attempt = at->facts;
    if (attempt.number() == number) world_size = WorldSizeOf(attempt.shares());
    if (attempt.number() >= number) continue;
    if (attempt.number() < job.slots_since || looked_at == kAttemptsLookedAt) break;
    ++looked_at;
    // Slots are of one layout.
    if (WorldSizeOf(attempt.shares()) == world_size) attempts.push_back(&attempt);
  }
  return attempts;
}

std::vector<SlotHolder> SlotHoldersOf(const Job& job, uint64_t number, const v1::NodeShare& share) {
  std::vector<SlotHolder> holders;
  for (const v1::Attempt* attempt : AttemptsInMemory(job, number)) {
    AddHolders(*attempt, share.first_rank(), share.first_rank() + share.ranks(), &holders);
  }
  std::vector<SlotHolder> once;
  for (const SlotHolder& holder : holders) {
    if (std::find(once.begin(), once.end(), holder) == once.end()) once.push_back(holder);
  }
  return once;
}

bool AddSource(const SlotHolder& holder, const NodeTable& nodes,
               google::protobuf::RepeatedPtrField<v1::SlotSource>* sources) {
  const Node* node = nodes.Find(holder.node);
  if (node == nullptr || !node->session) return false;
  v1::SlotSource* source = sources->Add();
  source->set_node(holder.node.value());
  source->set_peer_address(node->peer_address);
  source->set_first_rank(holder.first_rank);
  source->set_ranks(holder.ranks);
  return true;
}

void AddReplicas(const Job& job, const Attempt& attempt, size_t index, const NodeTable& nodes,
                 v1::StartRanks* start) {
  const v1::NodeShare& share = attempt.facts.shares(static_cast<int>(index));
  size_t told = 0;
  for (const SlotHolder& holder : SlotHoldersOf(job, attempt.facts.number(), share)) {
    if (told == kHoldersMax) break;
    if (holder.node.value() == share.node()) continue;
    if (AddSource(holder, nodes, start->mutable_slot_sources())) ++told;
  }
  if (attempt.facts.replica_shift() == 0) return;
  const size_t partner =
      (index + attempt.facts.replica_shift()) % static_cast<size_t>(attempt.facts.shares_size());
  const Node* node = nodes.Find(NodeId(attempt.facts.shares(static_cast<int>(partner)).node()));
  if (node == nullptr) return;
  start->set_replica_node(node->name.value());
  start->set_replica_address(node->peer_address);
}

}  // namespace muster::coordinator::core
