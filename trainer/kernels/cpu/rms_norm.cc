#include "trainer/kernels/cpu/rms_norm.h"

#include <cmath>

#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {

MUSTER_CLONES void RmsNormForward(const float* x, const float* weight, float eps, int64_t rows,
                                  int64_t width, float* y, float* inv_rms) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < width; ++i) squares += x[i] * x[i];
    const float inv = 1.0f / std::sqrt(squares / static_cast<float>(width) + eps);
    inv_rms[row] = inv;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] * inv * weight[i];
  }
}

MUSTER_CLONES void RmsNormBackward(const float* dy, const float* x, const float* weight,
                                   const float* inv_rms, int64_t rows, int64_t width, float* dx,
                                   float* dweight) {
  for (int64_t row = 0; row < rows; ++row, dy += width, x += width, dx += width) {
    const float inv = inv_rms[row];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; ++i) dot += dy[i] * weight[i] * x[i];
    const float along = dot * inv * inv / static_cast<float>(width);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      dx[i] += inv * (dy[i] * weight[i] - x[i] * along);
      dweight[i] += dy[i] * x[i] * inv;
    }
  }
}

}  // namespace muster::trainer::kernels::cpu
