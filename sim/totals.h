// What a number of runs came to.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/agenda.h"

namespace muster::sim {

struct Totals {
  uint64_t seeds = 0;
  uint64_t seeds_twice = 0;  // run twice, to the same hash
  uint64_t events = 0;
  Micros simulated = 0;
  uint64_t records = 0;
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> requests;
  std::map<std::string, uint64_t> ends;  // of jobs

  void Add(const Totals& other);
  std::string Serialized() const;
  static Totals Parsed(const std::string& text);
  // For people; `wall_seconds` is the time it all took.
  std::string Text(double wall_seconds) const;
};

}  // namespace muster::sim
