// Softmax cross-entropy over a part of the vocabulary (Megatron-LM, arXiv:1909.08053, section 3):
// loss = log Σ e^(x - max) + max - x[target].
//
// Each rank holds columns [first, first + held) of every row, `stride` floats from row to row. The
// caller combines the pieces over the tensor group: max, then sum and target logit.
#pragma once

#include <cstdint>

namespace muster::trainer::kernels::cpu {

// max[row] over the held columns; the lowest float if none is held.
void RowMax(const float* logits, int64_t rows, int64_t held, int64_t stride, float* max);

// Replaces logits by e^(logit - max), sums them, and picks the target's logit (before the
// replacement; 0 if it is not held here).
void SumExp(const float* max, const int32_t* targets, int64_t first, int64_t rows, int64_t held,
            int64_t stride, float* logits, float* sum, float* target_logit);

// Replaces e^(logit - max) by the gradient of scale · loss. A row whose target is negative gets
// zeros, and so does the padding between held and stride.
void CrossEntropyBackward(const float* sum, const int32_t* targets, float scale, int64_t first,
                          int64_t rows, int64_t held, int64_t stride, float* logits);

}  // namespace muster::trainer::kernels::cpu
