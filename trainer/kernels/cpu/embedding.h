// Look-up of token vectors in a part of the vocabulary (Megatron-LM, arXiv:1909.08053, section 3):
// this rank holds rows [first, first + held) of the table.
//
// table, dtable: [held, width]; tokens: [rows]; out, dout: [rows, width]. No gaps.
#pragma once

#include <cstdint>

namespace muster::trainer::kernels::cpu {

// A token that is not held gives a row of zeros.
void EmbeddingForward(const float* table, int64_t first, int64_t held, const int32_t* tokens,
                      int64_t rows, int64_t width, float* out);

// Adds to dtable, rows in order.
void EmbeddingBackward(const float* dout, int64_t first, int64_t held, const int32_t* tokens,
                       int64_t rows, int64_t width, float* dtable);

}  // namespace muster::trainer::kernels::cpu
