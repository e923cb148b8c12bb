// Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467, equation 4):
// y = x / sqrt(mean(x²) + eps) · weight, for each row.
//
// x, y, dx, dy: [rows, width]; weight, dweight: [width]; inv_rms: [rows]. fp32, row-major, rows
// without gaps.
#pragma once

#include <cstdint>

namespace muster::trainer::kernels::cpu {

void RmsNormForward(const float* x, const float* weight, float eps, int64_t rows, int64_t width,
                    float* y, float* inv_rms);

// Adds to dx and dweight.
void RmsNormBackward(const float* dy, const float* x, const float* weight, const float* inv_rms,
                     int64_t rows, int64_t width, float* dx, float* dweight);

}  // namespace muster::trainer::kernels::cpu
