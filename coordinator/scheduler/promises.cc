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
    node_from_.assign(inventory_.size(), kNever);
  }
  const int64_t at = promise.at == absl::InfiniteFuture() ? kAlways : absl::ToUnixNanos(promise.at);
  for (const SlotRef& slot : promise.slots) {
    int64_t& from = from_[Flat(slot.node, slot.slot)];
    from = std::min(from, at);
    node_from_[slot.node] = std::min(node_from_[slot.node], at);
  }
  all_.push_back(std::move(promise));
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

Promises::ForPromise::ForPromise(const Promises& promises, absl::Time at) : promises_(promises) {
  taken_.assign(promises.from_.size(), false);
  touched_.assign(promises.node_from_.size(), false);
  for (const Promise& promise : promises.all_) {
    if (promise.until <= at && promise.until != absl::InfiniteFuture()) continue;
    for (const SlotRef& slot : promise.slots) {
      taken_[promises.Flat(slot.node, slot.slot)] = true;
      touched_[slot.node] = true;
    }
  }
}

bool Promises::ForPromise::IsDenied(NodeIndex node, uint32_t slot) const {
  return !promises_.first_.empty() && taken_[promises_.Flat(node, slot)];
}

bool Promises::ForPromise::MayDeny(NodeIndex node) const {
  return !touched_.empty() && touched_[node];
}

}  // namespace muster::coordinator::scheduler
