#include "sim/replay/time_book.h"

#include <algorithm>
#include <numeric>

#include "common/check.h"

namespace muster::sim::replay {

void TimeBook::Open(Micros now, v1::LedgerKind kind) {
  CHECK(!open_, "a time book is opened twice");
  open_ = true;
  since_ = now;
  kind_ = kind;
}

void TimeBook::Add(v1::LedgerKind kind, Micros from, Micros until) {
  if (until <= from) return;
  spent_[static_cast<size_t>(kind)] += until - from;
  if (bin_ == 0 || kind != v1::LEDGER_KIND_PRODUCTIVE) return;
  while (from < until) {
    const auto bin = static_cast<size_t>(from / bin_);
    const Micros end = std::min(until, static_cast<Micros>(bin + 1) * bin_);
    if (bins_.size() <= bin) bins_.resize(bin + 1);
    bins_[bin] += end - from;
    from = end;
  }
}

void TimeBook::Settle(Micros now, bool cut_off) {
  if (!open_) return;
  if (!stepping_) {
    Add(kind_, since_, now);
    since_ = now;
    return;
  }
  const auto steps = static_cast<uint64_t>((now - since_) / step_span_);
  const uint64_t reached = from_step_ + steps;
  const uint64_t again =
      best_step_ > from_step_ ? std::min(best_step_, reached) - from_step_ : uint64_t{0};
  const Micros redone = since_ + static_cast<Micros>(again) * step_span_;
  const Micros whole = since_ + static_cast<Micros>(steps) * step_span_;
  Add(v1::LEDGER_KIND_RECOMPUTE, since_, redone);
  Add(v1::LEDGER_KIND_PRODUCTIVE, redone, whole);
  Add(cut_off ? v1::LEDGER_KIND_RECOMPUTE : v1::LEDGER_KIND_PRODUCTIVE, whole, now);
  steps_again_ += again;
  best_step_ = std::max(best_step_, reached);
  stepping_ = false;
  since_ = now;
}

void TimeBook::Enter(Micros now, v1::LedgerKind kind) {
  Settle(now, true);
  kind_ = kind;
}

void TimeBook::EnterSteps(Micros now, uint64_t step, Micros step_span) {
  Settle(now, true);
  stepping_ = true;
  from_step_ = step;
  step_span_ = step_span;
}

void TimeBook::Close(Micros now) {
  Settle(now, false);
  open_ = false;
}

Micros TimeBook::total() const { return std::accumulate(spent_.begin(), spent_.end(), Micros{0}); }

}  // namespace muster::sim::replay
