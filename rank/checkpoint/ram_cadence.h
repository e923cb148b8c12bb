// How often the state goes into RAM slots.
//
// Given in steps by the job; or so often that the saves take at most 1 % of the time even if the
// step stood still for as long as one is copied and checksummed. Fed with what all ranks agreed on,
// so that all of them save at the same steps.
//
// Pure. Threads: one.
#pragma once

#include <cstdint>

#include "rank/checkpoint/fill_report.h"

namespace muster::rank {

class RamCadence {
 public:
  static constexpr double kShareMax = 0.01;
  // Steps measured before the first save of an adapted cadence.
  static constexpr int kStepsFirst = 2;

  // every_steps: 0 = adapted.
  explicit RamCadence(uint64_t every_steps) : given_(every_steps) {}

  // After every step: the longest any rank took for it, and for the fill before.
  void Take(double step_seconds, double fill_seconds);

  bool Due(uint64_t step) const;
  void NoteBegun(uint64_t step) { begun_ = step; }

  // Between two saves; 0 = not known yet.
  uint64_t every() const;

 private:
  const uint64_t given_;
  int steps_ = 0;
  double step_seconds_ = 0;  // smoothed
  double fill_seconds_ = 0;  // smoothed; 0 = none was made
  uint64_t begun_ = 0;       // the step saved last, in RAM or durably
};

}  // namespace muster::rank
