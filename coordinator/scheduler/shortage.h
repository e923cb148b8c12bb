// What a gang misses first, given what the domains can hold.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/scheduler/packing.h"

namespace muster::coordinator::scheduler {

struct Shortage {
  enum Kind {
    kNothing,    // it fits, as far as numbers tell
    kSlots,      // fewer slots than it needs in all
    kBlock,      // no domain of the level holds one block
    kBlocks,     // too few blocks fit into domains of the level
    kDomains,    // a spread finds too few domains with room for a part
    kSpreadTie,  // a spread inside larger blocks finds no way
  };
  Kind kind = kNothing;
  Level level = kNode;
  std::string axis;             // whose block it is; empty = a single rank
  uint64_t needed = 0;          // kSlots, kBlock: slots. kBlocks: blocks. kDomains: domains
  uint64_t there = 0;           // of the same
  uint64_t block = 0;           // slots of one block (or part)
  uint64_t blocks_missing = 0;  // kSlots, kBlock, kBlocks; 0 with kSlots: slots anywhere do
};

// The innermost level that fails. `placeable` = whether Pack finds a way, when it fits by numbers.
Shortage FindShortage(const Shape& shape, const Capacity& capacity, bool placeable);

// "node", "nvlink segment", "rack", "pod".
std::string LevelText(Level level);
// "1 slot", "2 slots".
std::string CountText(uint64_t count, const std::string& noun);

}  // namespace muster::coordinator::scheduler
