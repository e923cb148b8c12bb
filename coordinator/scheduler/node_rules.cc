#include "coordinator/scheduler/node_rules.h"

#include <algorithm>

#include "common/hostlist.h"
#include "coordinator/scheduler/domain_tree.h"

namespace muster::coordinator::scheduler {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool HasLabel(const NodeFacts& facts, const v1::Label& wanted) {
  return std::any_of(facts.labels.begin(), facts.labels.end(), [&](const v1::Label& label) {
    return label.name() == wanted.name() && label.value() == wanted.value();
  });
}

}  // namespace

NodeRules::NodeRules(const Gang& gang, const Inventory& inventory, const Denied* denied,
                     uint32_t waived)
    : gang_(gang),
      inventory_(inventory),
      denied_((waived & kDeniedRule) == 0 ? denied : nullptr),
      waived_(waived) {
  if (applies(kDeviceRule)) device_ = Lower(gang.spec->resources().device());
  if (!applies(kExcludeRule)) return;
  const auto exclude = [&](const NodeId& name) {
    const NodeIndex node = inventory.Find(name);
    if (node == Inventory::kNone) return;
    excluded_.resize(inventory.size());
    excluded_[node] = true;
  };
  if (gang.avoid != nullptr) std::for_each(gang.avoid->begin(), gang.avoid->end(), exclude);
  for (const std::string& hosts : gang.spec->placement().exclude()) {
    const auto names = ParseHostlist(hosts);
    if (!names.ok()) continue;  // refused when submitted
    for (const std::string& name : *names) exclude(NodeId(name));
  }
}

bool NodeRules::HasDevice(const NodeFacts& facts, uint32_t slot) const {
  return std::any_of(facts.devices.begin(), facts.devices.end(), [&](const v1::Device& device) {
    return device.slot() == slot && Lower(device.kind()).find(device_) != std::string::npos;
  });
}

const NodeRules::Verdict& NodeRules::OfKind(NodeIndex node) const {
  const uint32_t kind = inventory_.kind(node);
  if (kind >= of_kind_.size()) of_kind_.resize(kind + 1);
  Verdict& verdict = of_kind_[kind];
  if (verdict.known) return verdict;
  verdict.known = true;
  const NodeFacts& facts = inventory_.facts(node);
  const v1::PlacementSpec& placement = gang_.spec->placement();
  for (const v1::Label& label : placement.select()) {
    if (!applies(kSelectRule) || HasLabel(facts, label)) continue;
    verdict.against = kSelectRule;
    return verdict;
  }
  for (const std::string& taint : facts.taints) {
    const auto& tolerated = placement.tolerate();
    if (!applies(kTaintRule)) break;
    if (std::find(tolerated.begin(), tolerated.end(), taint) != tolerated.end()) continue;
    verdict.against = kTaintRule;
    return verdict;
  }
  if (device_.empty()) return verdict;
  uint32_t with = 0;
  for (uint32_t slot = 0; slot < facts.slots; ++slot) with += HasDevice(facts, slot) ? 1 : 0;
  if (with == 0) verdict.against = kDeviceRule;
  verdict.by_slot = with > 0 && with < facts.slots;
  return verdict;
}

Rule NodeRules::Against(NodeIndex node) const {
  if (applies(kUsableRule) && !inventory_.usable(node)) return kUsableRule;
  if (!excluded_.empty() && excluded_[node]) return kExcludeRule;
  const Verdict& verdict = OfKind(node);
  if (verdict.against != kNoRule) return verdict.against;
  const JobId owner = inventory_.spare_for(node);
  if (owner != JobId() && owner != gang_.job) {
    const bool for_it = inventory_.lent(node) && gang_.preemptible;
    if (!for_it && applies(kSpareRule)) return kSpareRule;
    if (for_it && applies(kLentRule)) return kLentRule;
  }
  if (!gang_.shape->exclusive) return kNoRule;
  if (applies(kIdleRule) && applies(kHeldRule) && !inventory_.idle(node)) return kIdleRule;
  if (denied_ == nullptr || !denied_->MayDeny(node)) return kNoRule;
  for (uint32_t slot = 0; slot < inventory_.slots(node); ++slot) {
    if (denied_->IsDenied(node, slot)) return kDeniedRule;
  }
  return kNoRule;
}

bool NodeRules::MayUse(NodeIndex node, uint32_t slot) const {
  if (slot >= inventory_.slots(node) || Against(node) != kNoRule) return false;
  if (applies(kHeldRule) && !inventory_.is_free(node, slot)) return false;
  if (OfKind(node).by_slot && !HasDevice(inventory_.facts(node), slot)) return false;
  return denied_ == nullptr || !denied_->IsDenied(node, slot);
}

std::vector<uint32_t> NodeRules::Slots(NodeIndex node) const {
  std::vector<uint32_t> slots;
  if (Against(node) != kNoRule) return slots;
  const bool by_slot = OfKind(node).by_slot;
  for (uint32_t slot = 0; slot < inventory_.slots(node); ++slot) {
    if (applies(kHeldRule) && !inventory_.is_free(node, slot)) continue;
    if (by_slot && !HasDevice(inventory_.facts(node), slot)) continue;
    if (denied_ != nullptr && denied_->IsDenied(node, slot)) continue;
    slots.push_back(slot);
  }
  return slots;
}

uint32_t NodeRules::Room(NodeIndex node) const {
  const uint32_t free = applies(kHeldRule) ? inventory_.free_slots(node) : inventory_.slots(node);
  if (free == 0 || Against(node) != kNoRule) return 0;
  const bool denies = denied_ != nullptr && denied_->MayDeny(node);
  if (!denies && !OfKind(node).by_slot) return free;
  return static_cast<uint32_t>(Slots(node).size());
}

std::vector<uint32_t> NodeRules::RoomByLeaf() const {
  const std::vector<NodeIndex>& order = inventory_.tree().order;
  std::vector<uint32_t> room(order.size());
  for (size_t leaf = 0; leaf < order.size(); ++leaf) room[leaf] = Room(order[leaf]);
  return room;
}

}  // namespace muster::coordinator::scheduler
