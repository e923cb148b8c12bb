// Matrix product: C[M,N] = alpha · op(A)[M,K] · op(B)[K,N] + beta · C, row-major fp32.
//
// lda, ldb, ldc are the floats between rows as they lie in memory (before op). With beta = 0, C is
// only written. oneDNN does it, with OMP_NUM_THREADS threads; for a fixed number of threads the
// same inputs give the same bits wherever the arrays lie.
#pragma once

#include <cstddef>
#include <cstdint>

namespace muster::trainer::kernels::cpu {

enum class Op { kPlain, kTranspose };

void Gemm(Op op_a, Op op_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace muster::trainer::kernels::cpu
