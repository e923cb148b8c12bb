#include "rank/checkpoint/ram_cadence.h"

#include <algorithm>
#include <cmath>

namespace muster::rank {
namespace {

// A single slow step or fill moves the mean by a fifth.
void Smooth(double value, double* mean) {
  *mean = *mean == 0 ? value : *mean + (value - *mean) / 5;
}

}  // namespace

void RamCadence::Take(double step_seconds, double fill_seconds) {
  ++steps_;
  Smooth(step_seconds, &step_seconds_);
  if (fill_seconds > 0) Smooth(fill_seconds, &fill_seconds_);
}

uint64_t RamCadence::every() const {
  if (given_ > 0) return given_;
  if (steps_ < kStepsFirst) return 0;
  if (fill_seconds_ == 0 || step_seconds_ <= 0) return 1;
  return static_cast<uint64_t>(
      std::clamp(std::ceil(fill_seconds_ / (kShareMax * step_seconds_)), 1.0, 1e9));
}

bool RamCadence::Due(uint64_t step) const {
  const uint64_t steps = every();
  if (steps == 0) return false;
  return given_ > 0 ? step % given_ == 0 : step >= begun_ + steps;
}

}  // namespace muster::rank
