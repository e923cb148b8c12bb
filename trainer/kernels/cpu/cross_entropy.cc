#include "trainer/kernels/cpu/cross_entropy.h"

#include <limits>

#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {

MUSTER_CLONES void RowMax(const float* logits, int64_t rows, int64_t held, int64_t stride,
                          float* max) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = logits + row * stride;
    float highest = std::numeric_limits<float>::lowest();
#pragma omp simd reduction(max : highest)
    for (int64_t i = 0; i < held; ++i) highest = x[i] > highest ? x[i] : highest;
    max[row] = highest;
  }
}

MUSTER_CLONES void SumExp(const float* max, const int32_t* targets, int64_t first, int64_t rows,
                          int64_t held, int64_t stride, float* logits, float* sum,
                          float* target_logit) {
  for (int64_t row = 0; row < rows; ++row) {
    float* x = logits + row * stride;
    const int64_t target = targets[row] - first;
    target_logit[row] = target >= 0 && target < held ? x[target] : 0.0f;
    const float highest = max[row];
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < held; ++i) {
      const float e = Exp(x[i] - highest);
      x[i] = e;
      total += e;
    }
    sum[row] = total;
  }
}

MUSTER_CLONES void CrossEntropyBackward(const float* sum, const int32_t* targets, float scale,
                                        int64_t first, int64_t rows, int64_t held, int64_t stride,
                                        float* logits) {
  for (int64_t row = 0; row < rows; ++row) {
    float* x = logits + row * stride;
    const float factor = targets[row] < 0 ? 0.0f : scale / sum[row];
#pragma omp simd
    for (int64_t i = 0; i < held; ++i) x[i] *= factor;
    for (int64_t i = held; i < stride; ++i) x[i] = 0.0f;
    const int64_t target = targets[row] - first;
    if (targets[row] >= 0 && target >= 0 && target < held) x[target] -= scale;
  }
}

}  // namespace muster::trainer::kernels::cpu
