// The same faults under many choices: spares × time between saves × rungs that may be used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/replay/study.h"

namespace muster::sim::replay {

struct SweepOptions {
  std::vector<uint32_t> spares;
  std::vector<Micros> intervals;
  std::vector<std::string> rungs;  // "all" | "no-shrink" | "requeue": neither spares nor shrinking
  uint32_t jobs = 1;               // processes
};

// Around what is recommended: half, all and a half more of the spares, a quarter to four times the
// Young/Daly interval, every set of rungs.
SweepOptions DefaultSweep(const Study& study);

// One line per choice, in order. Every choice is a whole replay.
std::string SweepText(const Study& study, const SweepOptions& options);

}  // namespace muster::sim::replay
