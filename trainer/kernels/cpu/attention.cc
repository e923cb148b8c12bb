#include "trainer/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/kernels/cpu/gemm.h"
#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr int64_t kQueryBlock = 64;

// scores: [rows, keys] of queries first_query…; row r sees keys up to first_query + r. Replaces
// them by probabilities, zero for unseen keys.
MUSTER_CLONES void CausalSoftmax(int64_t first_query, int64_t rows, int64_t keys, float* scores,
                                 float* log_sum) {
  for (int64_t row = 0; row < rows; ++row) {
    float* x = scores + row * keys;
    const int64_t seen = first_query + row + 1;
    float highest = std::numeric_limits<float>::lowest();
#pragma omp simd reduction(max : highest)
    for (int64_t i = 0; i < seen; ++i) highest = x[i] > highest ? x[i] : highest;
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < seen; ++i) {
      const float e = Exp(x[i] - highest);
      x[i] = e;
      total += e;
    }
    const float inverse = 1.0f / total;
#pragma omp simd
    for (int64_t i = 0; i < seen; ++i) x[i] *= inverse;
    for (int64_t i = seen; i < keys; ++i) x[i] = 0.0f;
    log_sum[row] = highest + std::log(total);
  }
}

// probabilities: scores in, probabilities out. dprobabilities: in; gradient of the scores out.
MUSTER_CLONES void CausalSoftmaxBackward(int64_t first_query, int64_t rows, int64_t keys,
                                         const float* log_sum, const float* dout, const float* out,
                                         int64_t stride, int64_t head_dim, float scale,
                                         float* probabilities, float* dprobabilities) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* dy = dout + row * stride;
    const float* y = out + row * stride;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < head_dim; ++i) dot += dy[i] * y[i];
    float* p = probabilities + row * keys;
    float* dp = dprobabilities + row * keys;
    const int64_t seen = first_query + row + 1;
    const float log = log_sum[row];
#pragma omp simd
    for (int64_t i = 0; i < seen; ++i) {
      const float e = Exp(p[i] - log);
      p[i] = e;
      dp[i] = e * (dp[i] - dot) * scale;
    }
    for (int64_t i = seen; i < keys; ++i) p[i] = dp[i] = 0.0f;
  }
}

float ScoreScale(const AttentionShape& shape) {
  return 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
}

}  // namespace

size_t AttentionShape::workspace() const {
  return static_cast<size_t>(2 * std::min(kQueryBlock, tokens) * tokens);
}

void AttentionForward(const AttentionShape& shape, const float* qkv, float* out, float* log_sum,
                      float* workspace) {
  const int64_t stride = shape.qkv_width();
  const int64_t out_stride = shape.out_width();
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t head = 0; head < shape.heads; ++head) {
      const float* q = qkv + b * shape.tokens * stride + head * dim;
      const float* k = qkv + b * shape.tokens * stride + (shape.heads + head / group) * dim;
      const float* v = k + shape.kv_heads * dim;
      float* y = out + b * shape.tokens * out_stride + head * dim;
      float* log = log_sum + (b * shape.heads + head) * shape.tokens;
      for (int64_t from = 0; from < shape.tokens; from += kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, shape.tokens - from);
        const int64_t keys = from + rows;
        float* scores = workspace;
        Gemm(Op::kPlain, Op::kTranspose, rows, keys, dim, ScoreScale(shape), q + from * stride,
             stride, k, stride, 0.0f, scores, keys);
        CausalSoftmax(from, rows, keys, scores, log + from);
        Gemm(Op::kPlain, Op::kPlain, rows, dim, keys, 1.0f, scores, keys, v, stride, 0.0f,
             y + from * out_stride, out_stride);
      }
    }
  }
}

void AttentionBackward(const AttentionShape& shape, const float* qkv, const float* out,
                       const float* log_sum, const float* dout, float* dqkv, float* workspace) {
  const int64_t stride = shape.qkv_width();
  const int64_t out_stride = shape.out_width();
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t last_block = (shape.tokens - 1) / kQueryBlock * kQueryBlock;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t q_at = b * shape.tokens * stride + head * dim;
      const int64_t k_at = b * shape.tokens * stride + (shape.heads + head / group) * dim;
      const int64_t v_at = k_at + shape.kv_heads * dim;
      const int64_t y_at = b * shape.tokens * out_stride + head * dim;
      const float* log = log_sum + (b * shape.heads + head) * shape.tokens;
      // Last block first: it reaches every key, so it alone may overwrite dk and dv.
      for (int64_t from = last_block; from >= 0; from -= kQueryBlock) {
        const int64_t rows = std::min(kQueryBlock, shape.tokens - from);
        const int64_t keys = from + rows;
        float* p = workspace;
        float* dp = workspace + rows * keys;
        const float* q = qkv + q_at + from * stride;
        const float* dy = dout + y_at + from * out_stride;
        const float keep = head % group == 0 && from == last_block ? 0.0f : 1.0f;
        Gemm(Op::kPlain, Op::kTranspose, rows, keys, dim, ScoreScale(shape), q, stride, qkv + k_at,
             stride, 0.0f, p, keys);
        Gemm(Op::kPlain, Op::kTranspose, rows, keys, dim, 1.0f, dy, out_stride, qkv + v_at, stride,
             0.0f, dp, keys);
        CausalSoftmaxBackward(from, rows, keys, log + from, dy, out + y_at + from * out_stride,
                              out_stride, dim, ScoreScale(shape), p, dp);
        Gemm(Op::kTranspose, Op::kPlain, keys, dim, rows, 1.0f, p, keys, dy, out_stride, keep,
             dqkv + v_at, stride);
        Gemm(Op::kTranspose, Op::kPlain, keys, dim, rows, 1.0f, dp, keys, q, stride, keep,
             dqkv + k_at, stride);
        Gemm(Op::kPlain, Op::kPlain, rows, dim, keys, 1.0f, dp, keys, qkv + k_at, stride, 0.0f,
             dqkv + q_at + from * stride, stride);
      }
    }
  }
}

}  // namespace muster::trainer::kernels::cpu
