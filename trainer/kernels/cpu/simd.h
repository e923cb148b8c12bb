// How the loops of this folder are compiled.
//
// MUSTER_CLONES builds a function for AVX-512, for AVX2 and for any x86-64 and takes the best at
// load time. Vectorised sums are written as `omp simd` reductions: their order is fixed when the
// compiler runs, so the same type of machine gives the same bits. -ffast-math is not used.
#pragma once

// The sanitizers start after the loader has picked clones.
#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
#define MUSTER_CLONES
#else
#define MUSTER_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define MUSTER_INLINE inline __attribute__((always_inline))

namespace muster::trainer::kernels::cpu {

// e^x for x ≤ 88; below -87.3 it stays at 1.2e-38. Within 2 units in the last place (Cephes expf,
// Moshier: range reduction by ln 2 in two parts, degree-5 polynomial). Vectorises.
MUSTER_INLINE float Exp(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to a whole number
  x = x < -87.3f ? -87.3f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int exponent = __builtin_bit_cast(int, shifted) - __builtin_bit_cast(int, kRound);
  return p * __builtin_bit_cast(float, (exponent + 127) << 23);
}

}  // namespace muster::trainer::kernels::cpu
