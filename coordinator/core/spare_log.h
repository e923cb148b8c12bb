// When nodes stood idle as hot spares of one job, and with how many free slots.
//
// A slot that is lent counts to the job that borrows it, not here.
//
// Time: callers pass the times of records; they never go back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "common/ids.h"

namespace muster::coordinator::core {

struct SpareSpan {
  static constexpr int64_t kOpen = std::numeric_limits<int64_t>::max();

  NodeId node;
  uint64_t slots = 0;  // free ones
  int64_t from_ms = 0;
  int64_t until_ms = kOpen;  // kOpen: it still is
};

class SpareLog {
 public:
  // The node is a spare with that many free slots from then on, whatever it was before.
  void Set(const NodeId& node, uint64_t slots, int64_t unix_ms);
  // No spare any more. Nothing when it is none.
  void End(const NodeId& node, int64_t unix_ms);

  // In the order of their beginnings.
  const std::vector<SpareSpan>& spans() const { return spans_; }

 private:
  std::vector<SpareSpan> spans_;
  std::map<NodeId, size_t> last_;  // its newest span
};

}  // namespace muster::coordinator::core
