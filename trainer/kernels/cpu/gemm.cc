#include "trainer/kernels/cpu/gemm.h"

#include <dnnl.h>

#include "common/check.h"

namespace muster::trainer::kernels::cpu {

void Gemm(Op op_a, Op op_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const dnnl_status_t status =
      dnnl_sgemm(op_a == Op::kTranspose ? 'T' : 'N', op_b == Op::kTranspose ? 'T' : 'N', m, n, k,
                 alpha, a, lda, b, ldb, beta, c, ldc);
  CHECK(status == dnnl_success, "dnnl_sgemm {}x{}x{} lda {} ldb {} ldc {}: status {}", m, n, k, lda,
        ldb, ldc, static_cast<int>(status));
}

}  // namespace muster::trainer::kernels::cpu
