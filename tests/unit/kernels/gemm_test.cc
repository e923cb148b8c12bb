#include "trainer/kernels/cpu/gemm.h"

#include <cstring>

#include "tests/unit/kernels/finite_difference.h"
#include "trainer/kernels/cpu/aligned_floats.h"

namespace muster::trainer::kernels::cpu {
namespace {

struct Case {
  Op a, b;
  int64_t m, n, k;
};

const Case kCases[] = {{Op::kPlain, Op::kPlain, 5, 7, 3},
                       {Op::kTranspose, Op::kPlain, 33, 17, 65},
                       {Op::kPlain, Op::kTranspose, 64, 31, 129},
                       {Op::kTranspose, Op::kTranspose, 16, 48, 20},
                       {Op::kPlain, Op::kTranspose, 1, 320, 256}};

TEST(Gemm, EqualsThePlainProduct) {
  for (const Case& c : kCases) {
    const bool ta = c.a == Op::kTranspose;
    const bool tb = c.b == Op::kTranspose;
    const int64_t lda = (ta ? c.m : c.k) + 3;
    const int64_t ldb = (tb ? c.k : c.n) + 1;
    const int64_t ldc = c.n + 2;
    const auto a = Random(static_cast<size_t>((ta ? c.k : c.m) * lda), 1);
    const auto b = Random(static_cast<size_t>((tb ? c.n : c.k) * ldb), 2);
    auto out = Random(static_cast<size_t>(c.m * ldc), 3);
    std::vector<double> expected = Doubles(out);
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < c.k; ++l) {
          sum += static_cast<double>(a[static_cast<size_t>(ta ? l * lda + i : i * lda + l)]) *
                 static_cast<double>(b[static_cast<size_t>(tb ? j * ldb + l : l * ldb + j)]);
        }
        double& at = expected[static_cast<size_t>(i * ldc + j)];
        at = 0.5 * sum + 2.0 * at;
      }
    }
    Gemm(c.a, c.b, c.m, c.n, c.k, 0.5f, a.data(), lda, b.data(), ldb, 2.0f, out.data(), ldc);
    ExpectClose(out, expected, "product");
  }
}

// Buffers from malloc are only 16-byte aligned, and where they fall differs from run to run.
TEST(Gemm, GivesTheSameBitsWhereverTheArraysLie) {
  for (const Case& c : kCases) {
    const int64_t lda = c.a == Op::kTranspose ? c.m : c.k;
    const int64_t ldb = c.b == Op::kTranspose ? c.k : c.n;
    const size_t na = static_cast<size_t>(c.m * c.k);
    const size_t nb = static_cast<size_t>(c.k * c.n);
    const size_t nc = static_cast<size_t>(c.m * c.n);
    const auto a = Random(na, 4);
    const auto b = Random(nb, 5);
    std::vector<float> first(nc);
    for (size_t shift = 0; shift < 16; ++shift) {
      AlignedFloats pa(na + 16), pb(nb + 16), pc(nc + 16);
      float* da = pa.data() + shift;
      float* db = pb.data() + shift * 7 % 16;
      float* dc = pc.data() + shift * 5 % 16;
      std::copy(a.begin(), a.end(), da);
      std::copy(b.begin(), b.end(), db);
      Gemm(c.a, c.b, c.m, c.n, c.k, 1.0f, da, lda, db, ldb, 0.0f, dc, c.n);
      if (shift == 0) std::copy(dc, dc + nc, first.begin());
      EXPECT_EQ(std::memcmp(first.data(), dc, nc * sizeof(float)), 0) << "shift " << shift;
    }
  }
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
