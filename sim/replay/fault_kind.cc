// How a fault that somebody wrote down shows to those who train on the node.
#include <array>
#include <string_view>
#include <utility>

#include "sim/replay/fault_trace.h"

namespace muster::sim::replay {
namespace {

using Row = std::pair<std::string_view, FaultKind>;

// The first whose text is in the description or the class decides. What is not listed, and "Unknown
// Error", is drawn: 1 in 10 hangs (of the failures of a large fleet 9.9 % were hangs), 1 in 10
// takes the node along, the rest kills a process.
constexpr std::array<Row, 22> kRows = {{
    {"Link Down", FaultKind::kHang},
    {"NIC Lost", FaultKind::kHang},
    {"Gid Error", FaultKind::kHang},
    {"nvidia-smi Timeout", FaultKind::kHang},
    {"Optical Module", FaultKind::kHang},
    {"Server down", FaultKind::kNodeGone},
    {"Kernel Panic", FaultKind::kNodeGone},
    {"Power Supply Failure", FaultKind::kNodeGone},
    {"Motherboard Failed", FaultKind::kNodeGone},
    {"Machine Check", FaultKind::kNodeGone},
    {"Riser", FaultKind::kNodeGone},
    {"taken offline", FaultKind::kNodeGone},
    {"Offline", FaultKind::kNodeGone},
    {"Date Absent", FaultKind::kNodeGone},
    {"FS Readonly", FaultKind::kRankDies},
    {"Disk FS", FaultKind::kRankDies},
    {"GPU", FaultKind::kRankDies},
    {"NIC", FaultKind::kRankDies},
    {"Fan", FaultKind::kRankDies},
    {"Power Supply", FaultKind::kRankDies},
    {"Firmware", FaultKind::kRankDies},
    {"Battery", FaultKind::kRankDies},
}};

}  // namespace

FaultKind KindOf(const TraceFault& fault, double roll) {
  for (const auto& [text, kind] : kRows) {
    if (fault.text.find(text) != std::string::npos || fault.kind.find(text) != std::string::npos) {
      return kind;
    }
  }
  if (roll < 0.1) return FaultKind::kHang;
  return roll < 0.2 ? FaultKind::kNodeGone : FaultKind::kRankDies;
}

}  // namespace muster::sim::replay
