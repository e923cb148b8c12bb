// What the ranks tell each other, once per step, about filling their RAM slots; and what all of
// them conclude from it.
#pragma once

#include <cstdint>

namespace muster::rank {

struct FillReport {
  bool ready = false;    // this rank has its slots
  bool filling = false;  // one is being filled just now
  uint64_t sealed = 0;   // the newest step it holds sealed; 0 = none
  double seconds = 0;    // the last fill took
};

// The same on every rank.
struct FillSummary {
  bool ready = false;    // every rank
  bool filling = false;  // any rank
  uint64_t sealed = 0;   // the newest step of every rank, when it is the same; else 0
  double seconds = 0;    // the longest
};

}  // namespace muster::rank
