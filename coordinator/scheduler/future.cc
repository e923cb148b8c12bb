#include "coordinator/scheduler/future.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

namespace muster::coordinator::scheduler {

Future::Future(const View& view, const Inventory& now, const Promises& promises,
               const std::vector<Begun>& begun)
    : view_(view), promises_(promises), inventory_(now) {
  for (NodeIndex node = 0; node < inventory_.size(); ++node) {
    if (inventory_.usable(node)) free_now_ += inventory_.free_slots(node);
  }
  holders_.reserve(view.running.size() + begun.size() + 64);
  for (const RunningJob& job : view.running) {
    Holder& holder = holders_.emplace_back();
    holder.job = job.job;
    holder.ends_by = std::max(job.ends_by, view.now);
    holder.slots = job.slots;
    if (job.spec->resources().exclusive()) {  // whole nodes, more than it asked for
      holder.holding = HoldingOf(inventory_, job.job, *job.shares);
      holder.resolved = true;
      holder.slots = holder.holding.slots.size();
    }
  }
  for (const Begun& job : begun) {
    holders_.push_back({job.job, job.ends_by, job.holding.slots.size(), job.holding, true, false});
  }
  order_.resize(holders_.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return Earlier(a, b); });
}

bool Future::Earlier(size_t a, size_t b) const {
  const Holder &x = holders_[a], &y = holders_[b];
  return x.ends_by != y.ends_by ? x.ends_by < y.ends_by : x.job < y.job;
}

void Future::Remove(size_t index) {
  Holder& holder = holders_[index];
  if (holder.gone) return;
  if (!holder.resolved) {
    holder.holding = HoldingOf(inventory_, holder.job, *view_.running[index].shares);
    holder.resolved = true;
  }
  Free(inventory_, holder.job, holder.holding);
  holder.gone = true;
}

void Future::Restore(size_t index) {
  Holder& holder = holders_[index];
  if (!holder.gone) return;
  Take(inventory_, holder.job, holder.holding);
  holder.gone = false;
}

void Future::MoveTo(size_t prefix) {
  while (prefix_ < prefix) Remove(order_[prefix_++]);
  while (prefix_ > prefix) Restore(order_[--prefix_]);
}

void Future::Started(const WaitingJob& job, const Placed& placed, Begun begun) {
  MoveTo(0);
  TakeStart(inventory_, job, placed);
  free_now_ -= begun.holding.slots.size();
  for (const NodeIndex node : placed.spares) free_now_ -= inventory_.free_slots(node);
  const uint64_t slots = begun.holding.slots.size();
  holders_.push_back({begun.job, begun.ends_by, slots, std::move(begun.holding), true, false});
  Enqueue(holders_.size() - 1);
}

void Future::Vacates(size_t running, absl::Time ends_by) {
  MoveTo(0);
  order_.erase(std::find(order_.begin(), order_.end(), running));
  holders_[running].ends_by = ends_by;
  Enqueue(running);
}

void Future::Enqueue(size_t holder) {
  stops_.clear();
  order_.insert(std::upper_bound(order_.begin(), order_.end(), holder,
                                 [&](size_t a, size_t b) { return Earlier(a, b); }),
                holder);
}

std::optional<Placed> Future::PlaceAt(const Gang& gang, absl::Time at) {
  ++placements_;
  if (promises_.all().empty()) return Place(gang, inventory_, nullptr);
  const Promises::ForPromise denied(promises_, at);
  return Place(gang, inventory_, &denied);
}

const std::vector<size_t>& Future::Stops() {
  if (!stops_.empty()) return stops_;
  stops_.push_back(0);
  for (size_t i = 1; i <= order_.size(); ++i) {
    const absl::Time at = holders_[order_[i - 1]].ends_by;
    if (i == order_.size() || at == absl::InfiniteFuture() || holders_[order_[i]].ends_by != at) {
      stops_.push_back(i);
    }
  }
  return stops_;
}

std::vector<SlotRef> Future::SlotsOf(const Gang& gang, const Placed& placed) const {
  std::vector<SlotRef> slots;
  for (const v1::NodeShare& share : placed.shares) {
    const NodeIndex node = inventory_.Find(NodeId(share.node()));
    if (gang.shape->exclusive) {
      for (uint32_t slot = 0; slot < inventory_.slots(node); ++slot) {
        slots.push_back({node, slot});
      }
    } else {
      for (const uint32_t slot : share.slots()) slots.push_back({node, slot});
    }
  }
  for (const NodeIndex node : placed.spares) {
    for (uint32_t slot = 0; slot < inventory_.slots(node); ++slot) {
      slots.push_back({node, slot});
    }
  }
  return slots;
}

Future::Fit Future::MakeFit(const Gang& gang, Placed placed,
                            const std::vector<size_t>& ended) const {
  std::vector<SlotRef> wanted = SlotsOf(gang, placed);
  std::sort(wanted.begin(), wanted.end());
  Fit fit;
  fit.at = view_.now;
  for (size_t i = ended.size(); i-- > 0;) {
    const Holder& holder = holders_[ended[i]];
    const std::vector<SlotRef>& held = holder.holding.slots;
    if (std::none_of(held.begin(), held.end(), [&](const SlotRef& slot) {
          return std::binary_search(wanted.begin(), wanted.end(), slot);
        })) {
      continue;
    }
    fit.at = std::max(fit.at, holder.ends_by);
    fit.after.push_back({holder.job, holder.slots, std::nullopt});
    if (ended[i] < view_.running.size()) fit.after.back().running = ended[i];
  }
  fit.placed = std::move(placed);
  return fit;
}

std::optional<Future::Fit> Future::Earliest(const Gang& gang) {
  const std::vector<size_t>& stops = Stops();
  const auto time_of = [&](size_t stop) {
    return stop == 0 ? view_.now : holders_[order_[stops[stop] - 1]].ends_by;
  };
  // Fewer slots than it needs cannot do: the first stop worth a try.
  uint64_t slots = free_now_;
  size_t low = 0;
  for (size_t prefix = 0; low < stops.size(); ++low) {
    for (; prefix < stops[low]; ++prefix) slots += holders_[order_[prefix]].slots;
    if (slots >= gang.shape->slots() + promises_.HeldAt(time_of(low))) break;
  }
  if (low == stops.size()) return std::nullopt;
  const auto fits_at = [&](size_t stop) {
    MoveTo(stops[stop]);
    return PlaceAt(gang, time_of(stop));
  };
  // Steps that double until it fits, then halves. Along the order room only grows and earlier
  // promises only end, so what fits at one stop fits at all later ones.
  size_t high = low;
  std::optional<Placed> best;
  for (size_t step = 1; !(best = fits_at(high)); step *= 2) {
    low = high + 1;
    if (low == stops.size()) return std::nullopt;
    high = std::min(high + step, stops.size() - 1);
  }
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (std::optional<Placed> placed = fits_at(middle)) {
      best = std::move(placed);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  Fit fit = MakeFit(gang, std::move(*best),
                    {order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(stops[high])});
  // Earlier promises must be over, too.
  if (high > 0) fit.at = holders_[order_[stops[high] - 1]].ends_by;
  return fit;
}

std::optional<Future::Fit> Future::Without(const Gang& gang, const std::vector<size_t>& running) {
  MoveTo(0);
  std::vector<size_t> ended = running;
  std::sort(ended.begin(), ended.end(), [&](size_t a, size_t b) { return Earlier(a, b); });
  for (const size_t index : ended) Remove(index);
  std::optional<Placed> placed = PlaceAt(gang, view_.now);
  std::optional<Fit> fit;
  if (placed) fit = MakeFit(gang, std::move(*placed), ended);
  for (const size_t index : ended) Restore(index);
  return fit;
}

}  // namespace muster::coordinator::scheduler
