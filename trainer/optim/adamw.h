// AdamW on flat fp32 arrays (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2).
//
// Elementwise, so that any cut of the arrays gives the same bits. Compiled without fused
// multiply-add: the bits do not depend on the processor either.
#pragma once

#include <cstdint>
#include <span>

namespace muster::trainer::optim {

struct AdamW {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;
};

struct AdamWStep {
  double lr = 0;
  uint64_t step = 1;        // number of this update, 1 for the first: bias correction
  float grad_scale = 1.0F;  // clipping
  bool decay = false;
};

// All spans have one length. params, exp_avg and exp_avg_sq are updated in place.
void UpdateAdamW(const AdamW& options, const AdamWStep& step, std::span<const float> grads,
                 std::span<float> params, std::span<float> exp_avg, std::span<float> exp_avg_sq);

}  // namespace muster::trainer::optim
