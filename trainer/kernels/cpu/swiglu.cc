#include "trainer/kernels/cpu/swiglu.h"

#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {

MUSTER_CLONES void SwigluForward(const float* gate_up, int64_t rows, int64_t width, float* out) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* gate = gate_up + row * 2 * width;
    const float* up = gate + width;
    float* y = out + row * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] = gate[i] / (1.0f + Exp(-gate[i])) * up[i];
  }
}

MUSTER_CLONES void SwigluBackward(const float* dout, int64_t rows, int64_t width, float* gate_up) {
  for (int64_t row = 0; row < rows; ++row) {
    float* gate = gate_up + row * 2 * width;
    float* up = gate + width;
    const float* dy = dout + row * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      const float g = gate[i];
      const float sigmoid = 1.0f / (1.0f + Exp(-g));
      const float silu = g * sigmoid;
      gate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));
      up[i] = dy[i] * silu;
    }
  }
}

}  // namespace muster::trainer::kernels::cpu
