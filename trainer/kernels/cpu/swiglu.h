// SwiGLU without its matrices (Shazeer 2020, arXiv:2002.05202, equation 6):
// out = silu(gate) · up, silu(g) = g / (1 + e^-g).
//
// gate_up: [rows, 2 · width], a row holds gate, then up; out, dout: [rows, width]. No gaps.
#pragma once

#include <cstdint>

namespace muster::trainer::kernels::cpu {

void SwigluForward(const float* gate_up, int64_t rows, int64_t width, float* out);

// Replaces gate_up by its gradient.
void SwigluBackward(const float* dout, int64_t rows, int64_t width, float* gate_up);

}  // namespace muster::trainer::kernels::cpu
