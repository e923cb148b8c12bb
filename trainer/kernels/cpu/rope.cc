#include "trainer/kernels/cpu/rope.h"

#include <cmath>

#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {
namespace {

MUSTER_CLONES void TurnRows(const float* cosines, const float* sines, float direction,
                            int64_t context, int64_t half, int64_t rows, int64_t heads,
                            int64_t stride, float* x) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* cosine = cosines + row % context * half;
    const float* sine = sines + row % context * half;
    for (int64_t head = 0; head < heads; ++head) {
      float* low = x + row * stride + head * 2 * half;
      float* high = low + half;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float a = low[i];
        const float b = high[i];
        const float s = sine[i] * direction;
        low[i] = a * cosine[i] - b * s;
        high[i] = b * cosine[i] + a * s;
      }
    }
  }
}

}  // namespace

RopeTable::RopeTable(int64_t context_length, int64_t dim, double theta)
    : context(context_length), head_dim(dim) {
  const int64_t half = dim / 2;
  for (int64_t position = 0; position < context; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) *
          std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      cosine.push_back(static_cast<float>(std::cos(angle)));
      sine.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

void Rope(const RopeTable& table, Turn turn, int64_t rows, int64_t heads, int64_t stride,
          float* x) {
  TurnRows(table.cosine.data(), table.sine.data(), turn == Turn::kForward ? 1.0f : -1.0f,
           table.context, table.head_dim / 2, rows, heads, stride, x);
}

}  // namespace muster::trainer::kernels::cpu
