#include "trainer/optim/adamw.h"

#include <cmath>

#include "common/check.h"
#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::optim {

MUSTER_CLONES void UpdateAdamW(const AdamW& options, const AdamWStep& step,
                               std::span<const float> grads, std::span<float> params,
                               std::span<float> exp_avg, std::span<float> exp_avg_sq) {
  CHECK(grads.size() == params.size() && exp_avg.size() == params.size() &&
            exp_avg_sq.size() == params.size(),
        "AdamW over {} gradients, {} parameters", grads.size(), params.size());
  const auto count = static_cast<double>(step.step);
  const double correction1 = 1.0 - std::pow(options.beta1, count);
  const double correction2 = 1.0 - std::pow(options.beta2, count);
  const auto beta1 = static_cast<float>(options.beta1);
  const auto beta2 = static_cast<float>(options.beta2);
  const auto rest1 = static_cast<float>(1.0 - options.beta1);
  const auto rest2 = static_cast<float>(1.0 - options.beta2);
  const auto step_size = static_cast<float>(step.lr / correction1);
  const auto root_scale = static_cast<float>(1.0 / std::sqrt(correction2));
  const auto eps = static_cast<float>(options.eps);
  const auto keep = static_cast<float>(step.decay ? 1.0 - step.lr * options.weight_decay : 1.0);
  const float scale = step.grad_scale;
  const float* g = grads.data();
  float* __restrict p = params.data();
  float* __restrict m = exp_avg.data();
  float* __restrict v = exp_avg_sq.data();
  for (size_t i = 0; i < grads.size(); ++i) {
    const float grad = g[i] * scale;
    m[i] = beta1 * m[i] + rest1 * grad;
    v[i] = beta2 * v[i] + rest2 * (grad * grad);
    p[i] = p[i] * keep - step_size * m[i] / (std::sqrt(v[i]) * root_scale + eps);
  }
}

}  // namespace muster::trainer::optim
