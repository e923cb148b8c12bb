#include "coordinator/core/spare_log.h"

namespace muster::coordinator::core {

void SpareLog::Set(const NodeId& node, uint64_t slots, int64_t unix_ms) {
  const auto found = last_.find(node);
  if (found != last_.end()) {
    SpareSpan& last = spans_[found->second];
    const bool open = last.until_ms == SpareSpan::kOpen;
    // Given back and taken again by one record, or nothing new.
    if (last.slots == slots && (open || last.until_ms == unix_ms)) {
      last.until_ms = SpareSpan::kOpen;
      return;
    }
    if (open) last.until_ms = unix_ms;
  }
  last_[node] = spans_.size();
  spans_.push_back({.node = node, .slots = slots, .from_ms = unix_ms});
}

void SpareLog::End(const NodeId& node, int64_t unix_ms) {
  const auto found = last_.find(node);
  if (found == last_.end()) return;
  SpareSpan& last = spans_[found->second];
  if (last.until_ms == SpareSpan::kOpen) last.until_ms = unix_ms;
}

}  // namespace muster::coordinator::core
