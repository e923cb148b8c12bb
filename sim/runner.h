// Runs many seeds of a case, in several processes, and puts together what came of them.
//
// A run that is killed by a CHECK is a violation like any other: every process says which seed it
// is at in memory it shares with its parent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/case.h"
#include "sim/totals.h"

namespace muster::sim {

struct RunOptions {
  uint64_t first_seed = 1;
  uint64_t seeds = 1;
  uint32_t jobs = 1;    // processes
  double twice = 0.05;  // the part of the seeds that is run twice
  bool keep_going = false;
  bool trace = false;  // one seed, every event to stdout
};

struct Violation {
  uint64_t seed = 0;
  std::string text;
};

struct RunResult {
  Totals totals;
  std::vector<Violation> violations;  // lowest seed first
};

RunResult RunSeeds(const Case& chosen, const RunOptions& options);

// The last events before the violation, by running the seed once more.
std::string LastEvents(const Case& chosen, uint64_t seed, size_t lines);

}  // namespace muster::sim
