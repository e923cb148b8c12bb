// The faults of a cluster of any size, from a recorded trace or from a published table.
//
// Results are sorted by time, then node. The same arguments give the same faults.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/replay/fault.h"
#include "sim/replay/fault_trace.h"

namespace muster::sim::replay {

// Every node gets the whole history of a recorded one, so that what a node suffers keeps its rhythm
// and a few nodes keep most of the faults: each history as often as `nodes` is a multiple of the
// recorded ones, the rest drawn. Each copy is turned by its own time (what leaves at the end comes
// in at the start, where its node is away from time 0 on), or copies would fail together. `span`:
// at most the trace's.
std::vector<Fault> ScaleTrace(const FaultTrace& trace, uint32_t nodes, Micros span, Random dice);

// Unexpected interruptions as in the 54 days of Llama 3 405B on 16,384 GPUs: 419, one per 2,048
// nodes and 3.09 hours, with their causes. Repairs take a lognormal time, median 0.85 days, mean
// 5.5; software needs none.
std::vector<Fault> DrawLlama3(uint32_t nodes, Micros span, Random dice);

// What fails together, by rack of `rack` nodes and switch of `under_switch` nodes in a row. Rates
// are assumptions.
struct Correlated {
  uint32_t rack = 15;
  Micros rack_power_every = 3650 * kDay;  // of one rack
  Micros rack_power_for = 2 * kHour;
  uint32_t under_switch = 72;
  Micros switch_every = 1825 * kDay;  // of one switch
  Micros switch_for = 1 * kHour;
};
std::vector<Fault> DrawCorrelated(const Correlated& how, uint32_t nodes, Micros span, Random dice);

// Faults of a node that is away already are left out, and time away is merged.
std::vector<Fault> Merged(std::vector<Fault> faults);

// How many nodes are away, over time.
struct Away {
  double mean = 0;
  uint32_t p50 = 0;
  uint32_t p99 = 0;
  uint32_t max = 0;
  std::vector<double> share;  // of the time, by number of nodes away
  // The fewest spares with which nodes are short for at most `short_share` of the time.
  uint32_t SparesFor(double short_share) const;
};
Away CountAway(const std::vector<Fault>& faults, Micros span);

}  // namespace muster::sim::replay
