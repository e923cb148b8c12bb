#include "trainer/kernels/cpu/vector_ops.h"

#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {

MUSTER_CLONES void Fill(float value, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = value;
}

MUSTER_CLONES void Scale(float factor, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

MUSTER_CLONES void Axpy(float factor, const float* x, float* y, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

MUSTER_CLONES void Add(const float* a, const float* b, float* out, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

MUSTER_CLONES double SumOfSquares(const float* x, size_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace muster::trainer::kernels::cpu
