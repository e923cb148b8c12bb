// Learning rate over the run: linear warm-up from lr / warmup_steps to lr, then half a cosine down
// to lr · min_lr_ratio at the last step (Loshchilov & Hutter 2017, arXiv:1608.03983).
#pragma once

#include <cstdint>

namespace muster::trainer::optim {

struct Schedule {
  double lr = 0;
  double min_lr_ratio = 0;
  uint64_t warmup_steps = 0;
  uint64_t total_steps = 0;
};

// Of the update number `step`, 1 for the first. Beyond total_steps it stays at the lowest.
double LearningRate(const Schedule& schedule, uint64_t step);

}  // namespace muster::trainer::optim
