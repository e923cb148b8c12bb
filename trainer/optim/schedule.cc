#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace muster::trainer::optim {

double LearningRate(const Schedule& schedule, uint64_t step) {
  if (step < schedule.warmup_steps) {
    return schedule.lr * static_cast<double>(step) / static_cast<double>(schedule.warmup_steps);
  }
  const double lowest = schedule.lr * schedule.min_lr_ratio;
  if (schedule.total_steps <= schedule.warmup_steps) return schedule.lr;
  const double done = static_cast<double>(step - schedule.warmup_steps) /
                      static_cast<double>(schedule.total_steps - schedule.warmup_steps);
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(done, 1.0)));
  return lowest + (schedule.lr - lowest) * cosine;
}

}  // namespace muster::trainer::optim
