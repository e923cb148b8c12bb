#include "coordinator/scheduler/inventory.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "coordinator/scheduler/domain_tree.h"
#include "coordinator/scheduler/roster.h"

namespace muster::coordinator::scheduler {

Inventory::Inventory() : roster_(std::make_shared<Roster>()) {}
Inventory::~Inventory() = default;
Inventory::Inventory(const Inventory&) = default;
Inventory& Inventory::operator=(const Inventory&) = default;
Inventory::Inventory(Inventory&&) noexcept = default;
Inventory& Inventory::operator=(Inventory&&) noexcept = default;

// A copy that shares the roster keeps the old one.
Roster& Inventory::EditRoster() {
  if (roster_.use_count() > 1) roster_ = std::make_shared<Roster>(*roster_);
  return *roster_;
}

NodeIndex Inventory::Set(const NodeFacts& facts) {
  NodeIndex node = Find(facts.name);
  const bool known = node != kNone;
  if (known && SameFacts(*roster_->facts[node], facts)) return node;
  if (!known) {
    node = static_cast<NodeIndex>(size());
    slots_.push_back(0);
    free_.push_back(0);
    held_.push_back(0);
    usable_.push_back(0);
    lent_.push_back(0);
    spare_for_.emplace_back();
    whole_.emplace_back();
    first_.push_back(static_cast<uint32_t>(holders_.size()));
    room_.push_back(0);
    why_not_.emplace_back();
  }
  EditRoster().Set(node, facts);
  tree_.reset();
  slots_total_ = slots_total_ - slots_[node] + facts.slots;
  if (usable(node)) slots_usable_ = slots_usable_ - slots_[node] + facts.slots;
  slots_[node] = facts.slots;
  if (room_[node] < facts.slots) Grow(node, facts.slots);
  Recount(node);
  ++room_revision_;
  return node;
}

void Inventory::Grow(NodeIndex node, uint32_t room) {
  const uint32_t more = room - room_[node];
  const uint32_t end = first_[node] + room_[node];
  holders_.insert(holders_.begin() + end, more, JobId());
  room_[node] = room;
  // A node without room begins where the next one does: only later numbers move.
  for (NodeIndex other = 0; other < size(); ++other) {
    if (other > node && first_[other] >= end) first_[other] += more;
  }
}

void Inventory::Recount(NodeIndex node) {
  const auto begin = holders_.begin() + first_[node];
  const auto held = [](JobId job) { return job != JobId(); };
  held_[node] = static_cast<uint32_t>(std::count_if(begin, begin + room_[node], held));
  const auto taken = static_cast<uint32_t>(std::count_if(begin, begin + slots_[node], held));
  free_[node] = whole_[node] != JobId() ? 0 : slots_[node] - taken;
}

void Inventory::SetUsable(NodeIndex node, bool usable, const std::string& why_not) {
  if (usable && !this->usable(node)) {
    slots_usable_ += slots_[node];
    ++room_revision_;
  }
  if (!usable && this->usable(node)) slots_usable_ -= slots_[node];
  usable_[node] = usable ? 1 : 0;
  why_not_[node] = why_not.empty() ? nullptr : std::make_shared<const std::string>(why_not);
}

void Inventory::SetSpare(NodeIndex node, JobId owner, bool lent) {
  const bool changed = spare_for_[node] != owner || this->lent(node) != lent;
  spare_for_[node] = owner;
  if (lent && !this->lent(node)) ++lent_count_;
  if (!lent && this->lent(node)) --lent_count_;
  lent_[node] = lent ? 1 : 0;
  if (changed) ++room_revision_;
}

void Inventory::Take(NodeIndex node, uint32_t slot, JobId job) {
  CHECK(job != JobId(), "slot {} of {} taken by nobody", slot, facts(node).name.value());
  CHECK(holder(node, slot) == JobId(), "job {} takes slot {} of {}, which job {} holds",
        job.value(), slot, facts(node).name.value(), holder(node, slot).value());
  if (slot >= room_[node]) Grow(node, slot + 1);
  holders_[first_[node] + slot] = job;
  ++held_[node];
  if (slot < slots_[node]) --free_[node];
}

void Inventory::Free(NodeIndex node, uint32_t slot, JobId job) {
  CHECK(holder(node, slot) == job && whole_[node] == JobId(),
        "job {} frees slot {} of {}, which job {} holds", job.value(), slot,
        facts(node).name.value(), holder(node, slot).value());
  holders_[first_[node] + slot] = JobId();
  --held_[node];
  if (slot < slots_[node]) ++free_[node];
  ++room_revision_;
}

void Inventory::Take(const v1::NodeShare& share, JobId job, bool exclusive) {
  const NodeIndex node = Find(NodeId(share.node()));
  CHECK(node != kNone, "job {} takes slots of {}, an unknown node", job.value(), share.node());
  if (!exclusive) {
    for (const uint32_t slot : share.slots()) Take(node, slot, job);
    return;
  }
  CHECK(job != JobId() && idle(node), "job {} takes all of {}, which is not idle", job.value(),
        share.node());
  whole_[node] = job;
  free_[node] = 0;
}

void Inventory::Free(const v1::NodeShare& share, JobId job, bool exclusive) {
  const NodeIndex node = Find(NodeId(share.node()));
  CHECK(node != kNone, "job {} frees slots of {}, an unknown node", job.value(), share.node());
  if (!exclusive) {
    for (const uint32_t slot : share.slots()) Free(node, slot, job);
    return;
  }
  CHECK(whole_[node] == job, "job {} frees all of {}, which job {} holds", job.value(),
        share.node(), whole_[node].value());
  whole_[node] = JobId();
  free_[node] = slots_[node];
  ++room_revision_;
}

NodeIndex Inventory::Find(const NodeId& name) const {
  const auto found = roster_->by_name.find(name);
  return found == roster_->by_name.end() ? kNone : found->second;
}

const NodeFacts& Inventory::facts(NodeIndex node) const { return *roster_->facts[node]; }

const std::string& Inventory::why_not(NodeIndex node) const {
  static const std::string kNothing;
  return why_not_[node] == nullptr ? kNothing : *why_not_[node];
}

bool Inventory::is_free(NodeIndex node, uint32_t slot) const {
  return slot < slots_[node] && holder(node, slot) == JobId();
}

std::vector<uint32_t> Inventory::FreeSlots(NodeIndex node) const {
  std::vector<uint32_t> free;
  free.reserve(free_[node]);
  if (whole_[node] != JobId()) return free;
  for (uint32_t slot = 0; slot < slots_[node]; ++slot) {
    if (holders_[first_[node] + slot] == JobId()) free.push_back(slot);
  }
  return free;
}

JobId Inventory::holder(NodeIndex node, uint32_t slot) const {
  if (whole_[node] != JobId()) return whole_[node];
  return slot < room_[node] ? holders_[first_[node] + slot] : JobId();
}

bool Inventory::idle(NodeIndex node) const { return held_[node] == 0 && whole_[node] == JobId(); }

DomainIndex Inventory::domain(NodeIndex node, v1::Domain kind) const {
  switch (kind) {
    case v1::DOMAIN_NODE:
      return node;
    case v1::DOMAIN_NVLINK:
      return roster_->domain[Roster::kNvlink][node];
    case v1::DOMAIN_RACK:
      return roster_->domain[Roster::kRack][node];
    case v1::DOMAIN_POD:
      return roster_->domain[Roster::kPod][node];
    case v1::DOMAIN_UNSPECIFIED:
    case v1::Domain_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Domain_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  CHECK(false, "domain of no kind");
}

const std::string& Inventory::domain_name(DomainIndex domain, v1::Domain kind) const {
  switch (kind) {
    case v1::DOMAIN_NODE:
      return facts(domain).name.value();
    case v1::DOMAIN_NVLINK:
      return roster_->names[Roster::kNvlink].name(domain);
    case v1::DOMAIN_RACK:
      return roster_->names[Roster::kRack].name(domain);
    case v1::DOMAIN_POD:
      return roster_->names[Roster::kPod].name(domain);
    case v1::DOMAIN_UNSPECIFIED:
    case v1::Domain_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Domain_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  CHECK(false, "name of a domain of no kind");
}

const DomainTree& Inventory::tree() const {
  if (tree_ == nullptr) tree_ = std::make_shared<const DomainTree>(BuildDomainTree(*this));
  return *tree_;
}

uint32_t Inventory::kind(NodeIndex node) const { return roster_->kind[node]; }

}  // namespace muster::coordinator::scheduler
