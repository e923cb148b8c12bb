// One fault of one node: when, for how long the node is away, and how it shows.
#pragma once

#include <cstdint>
#include <string>

#include "sim/agenda.h"

namespace muster::sim::replay {

inline constexpr Micros kDay = 24 * kHour;

enum class FaultKind {
  kRankDies,  // a process ends badly; its worker sees it at once
  kNodeGone,  // the machine is silent: power, kernel, motherboard
  kHang,      // nothing dies; a collective stands still
};

struct Fault {
  Micros at = 0;
  Micros repaired = 0;  // from here on the node is well again; `at` = nothing to repair
  uint32_t node = 0;
  FaultKind kind = FaultKind::kRankDies;
  std::string cause;  // "GPU: GPU xid Error"
};

inline const char* KindText(FaultKind kind) {
  switch (kind) {
    case FaultKind::kRankDies:
      return "rank dies";
    case FaultKind::kNodeGone:
      return "node gone";
    case FaultKind::kHang:
      break;
  }
  return "hang";
}

}  // namespace muster::sim::replay
