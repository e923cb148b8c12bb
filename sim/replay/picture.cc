#include "sim/replay/picture.h"

#include <algorithm>

namespace muster::sim::replay {

Picture::Picture(uint32_t nodes, Micros span, uint32_t bins, uint32_t rows)
    : span_(span),
      bin_(std::max<Micros>(1, (span + bins - 1) / std::max(1u, bins))),
      bins_(bins),
      per_row_(std::max(1u, (nodes + rows - 1) / std::max(1u, rows))),
      now_(nodes),
      incidents_(bins) {
  rows_ = (nodes + per_row_ - 1) / per_row_;
  cells_.resize(size_t{rows_} * bins_);
}

void Picture::Settle(uint32_t node, Micros now) {
  NodeNow& one = now_[node];
  NodeUse use = one.working ? NodeUse::kWorking : NodeUse::kSpare;
  if (one.quarantined) use = NodeUse::kQuarantined;
  if (one.down) use = NodeUse::kDown;
  Micros from = one.since;
  const Micros until = std::min(now, span_);
  while (from < until) {
    const auto bin = static_cast<uint32_t>(from / bin_);
    const Micros end = std::min(until, static_cast<Micros>(bin + 1) * bin_);
    cells_[size_t{RowOf(node)} * bins_ + bin][static_cast<size_t>(use)] += end - from;
    from = end;
  }
  one.since = now;
}

void Picture::SetWorking(uint32_t node, bool working, Micros now) {
  if (empty() || now_[node].working == working) return;
  Settle(node, now);
  now_[node].working = working;
}

void Picture::SetQuarantined(uint32_t node, bool quarantined, Micros now) {
  if (empty() || now_[node].quarantined == quarantined) return;
  Settle(node, now);
  now_[node].quarantined = quarantined;
}

void Picture::SetDown(uint32_t node, bool down, Micros now) {
  if (empty() || now_[node].down == down) return;
  Settle(node, now);
  now_[node].down = down;
}

void Picture::Incident(Micros at, bool long_one) {
  if (empty() || at >= span_) return;
  ++incidents_[static_cast<size_t>(at / bin_)];
  if (long_one) long_ones_.push_back(at);
}

void Picture::Close(Micros now) {
  for (uint32_t node = 0; node < now_.size(); ++node) Settle(node, now);
}

double Picture::Share(uint32_t row, uint32_t bin, NodeUse use) const {
  const auto& cell = cells_[size_t{row} * bins_ + bin];
  Micros all = 0;
  for (const Micros one : cell) all += one;
  return all == 0 ? 0
                  : static_cast<double>(cell[static_cast<size_t>(use)]) / static_cast<double>(all);
}

}  // namespace muster::sim::replay
