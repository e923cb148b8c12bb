// Causal attention with grouped queries (Vaswani et al. 2017, arXiv:1706.03762, equation 1; Ainslie
// et al. 2023, arXiv:2305.13245): out = softmax(q kᵀ / sqrt(head_dim), keys up to the query) v.
//
// Works on blocks of query rows and skips the keys after them. Forward keeps only the log of each
// row's sum; backward computes the probabilities again (FlashAttention, arXiv:2205.14135).
//
// qkv, dqkv: [batch · tokens, (heads + 2 kv_heads) · head_dim], a row holds q, k, v by head; query
// head h uses key/value head h / (heads / kv_heads). out, dout: [batch · tokens, heads · head_dim].
// log_sum: [batch, heads, tokens]. fp32, no gaps.
#pragma once

#include <cstddef>
#include <cstdint>

namespace muster::trainer::kernels::cpu {

struct AttentionShape {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
  int64_t out_width() const { return heads * head_dim; }
  size_t workspace() const;  // floats
};

void AttentionForward(const AttentionShape& shape, const float* qkv, float* out, float* log_sum,
                      float* workspace);

// Overwrites dqkv.
void AttentionBackward(const AttentionShape& shape, const float* qkv, const float* out,
                       const float* log_sum, const float* dout, float* dqkv, float* workspace);

}  // namespace muster::trainer::kernels::cpu
