// The slow, plain versions the optimizer is judged by.
#pragma once

#include <cmath>
#include <vector>

#include "trainer/optim/adamw.h"

namespace muster::trainer::optim {

inline float PairwiseSum(std::vector<float> parts) {
  while (parts.size() > 1) {
    std::vector<float> next;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) next.push_back(parts[i] + parts[i + 1]);
    if (parts.size() % 2 == 1) next.push_back(parts.back());
    parts = next;
  }
  return parts[0];
}

// Algorithm 2 of arXiv:1711.05101 for one number.
inline void ReferenceAdamW(const AdamW& options, double lr, uint64_t step, double grad, bool decay,
                           double* p, double* m, double* v) {
  *m = options.beta1 * *m + (1 - options.beta1) * grad;
  *v = options.beta2 * *v + (1 - options.beta2) * grad * grad;
  const double m_hat = *m / (1 - std::pow(options.beta1, static_cast<double>(step)));
  const double v_hat = *v / (1 - std::pow(options.beta2, static_cast<double>(step)));
  const double weight_decay = decay ? options.weight_decay : 0.0;
  *p -= lr * (m_hat / (std::sqrt(v_hat) + options.eps) + weight_decay * *p);
}

}  // namespace muster::trainer::optim
