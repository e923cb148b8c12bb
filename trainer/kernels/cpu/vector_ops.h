// Elementwise operations and sums over fp32 arrays of n elements.
//
// Sums add in an order fixed by n alone, so the same input gives the same bits on the same type of
// machine, wherever it lies in memory.
#pragma once

#include <cstddef>

namespace muster::trainer::kernels::cpu {

void Fill(float value, float* x, size_t n);                      // x = value
void Scale(float factor, float* x, size_t n);                    // x *= factor
void Axpy(float factor, const float* x, float* y, size_t n);     // y += factor · x
void Add(const float* a, const float* b, float* out, size_t n);  // out = a + b; out may be a or b
double SumOfSquares(const float* x, size_t n);                   // in double

}  // namespace muster::trainer::kernels::cpu
