#include "coordinator/scheduler/promises.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace muster::coordinator::scheduler {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();

}  // namespace

void Promises::Add(Promise promise) {
  if (first_.empty()) {
    size_t slots = 0;
    for (NodeIndex node = 0; node < inventory_.size(); ++node) {
      first_.push_back(slots);
      slots += inventory_.slots(node);
    }
    from_.assign(slots, kNever);
    until_.assign(slots, kAlways);
    node_from_.assign(inventory_.size(), kNever);
    node_until_.assign(inventory_.size(), kAlways);
  }
  const int64_t at = promise.at == absl::InfiniteFuture() ? kAlways : absl::ToUnixNanos(promise.at);
  const int64_t end = absl::ToUnixNanos(promise.until);  // infinite: INT64_MAX
  for (const SlotRef& slot : promise.slots) {
    const size_t flat = Flat(slot.node, slot.slot);
    from_[flat] = std::min(from_[flat], at);
    until_[flat] = std::max(until_[flat], end);
    node_from_[slot.node] = std::min(node_from_[slot.node], at);
    node_until_[slot.node] = std::max(node_until_[slot.node], end);
  }
  all_.push_back(std::move(promise));
}

uint64_t Promises::HeldAt(absl::Time at) const {
  uint64_t slots = 0;
  for (const Promise& promise : all_) {
    const bool over = promise.until <= at && promise.until != absl::InfiniteFuture();
    if (promise.at <= at && !over) slots += promise.slots.size();
  }
  return slots;
}

const Promise* Promises::Of(SlotRef slot) const {
  if (first_.empty() || from_[Flat(slot.node, slot.slot)] == kNever) return nullptr;
  for (const Promise& promise : all_) {
    for (const SlotRef& held : promise.slots) {
      if (held.node == slot.node && held.slot == slot.slot) return &promise;
    }
  }
  return nullptr;
}

Promises::ForStart::ForStart(const Promises& promises, absl::Time end)
    : promises_(promises), end_(absl::ToUnixNanos(end)) {}

bool Promises::ForStart::IsDenied(NodeIndex node, uint32_t slot) const {
  return !promises_.first_.empty() && promises_.from_[promises_.Flat(node, slot)] < end_;
}

bool Promises::ForStart::MayDeny(NodeIndex node) const {
  return !promises_.first_.empty() && promises_.node_from_[node] < end_;
}

// One without an end is never over, not even at the end of time.
Promises::ForPromise::ForPromise(const Promises& promises, absl::Time at)
    : promises_(promises), at_(std::min(absl::ToUnixNanos(at), kNever - 1)) {}

bool Promises::ForPromise::IsDenied(NodeIndex node, uint32_t slot) const {
  return !promises_.first_.empty() && promises_.until_[promises_.Flat(node, slot)] > at_;
}

bool Promises::ForPromise::MayDeny(NodeIndex node) const {
  return !promises_.first_.empty() && promises_.node_until_[node] > at_;
}

}  // namespace muster::coordinator::scheduler
