// The judge of a kernel's backward: central differences of a plain version in double, element by
// element, against the kernel's fp32 gradient.
//
// Tolerance: |kernel - judge| ≤ 2e-5 · (largest |judge| + 1), for sizes up to a few hundred terms
// per sum; the differences themselves are good to about 1e-8.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace muster::trainer::kernels::cpu {

inline std::vector<float> Random(size_t n, unsigned seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(random);
  return values;
}

inline std::vector<double> Doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

inline double Dot(const std::vector<double>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<double>(b[i]);
  return sum;
}

inline void ExpectClose(const std::vector<float>& kernel, const std::vector<double>& judge,
                        const std::string& what) {
  ASSERT_EQ(kernel.size(), judge.size()) << what;
  double largest = 0;
  for (double value : judge) largest = std::max(largest, std::abs(value));
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < judge.size(); ++i) {
    // Written so that a NaN counts as the worst.
    const double error = std::abs(static_cast<double>(kernel[i]) - judge[i]);
    if (!(error <= worst)) {
      worst = error;
      at = i;
    }
  }
  EXPECT_TRUE(worst <= 2e-5 * (largest + 1))
      << what << "[" << at << "]: kernel " << kernel[at] << ", judge " << judge[at];
}

// d loss / d x[i] for every i.
inline std::vector<double> Differences(
    std::vector<double> x, const std::function<double(const std::vector<double>&)>& loss) {
  constexpr double kStep = 1e-5;
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + kStep;
    const double above = loss(x);
    x[i] = at - kStep;
    gradient[i] = (above - loss(x)) / (2 * kStep);
    x[i] = at;
  }
  return gradient;
}

}  // namespace muster::trainer::kernels::cpu
