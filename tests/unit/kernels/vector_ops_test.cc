#include "trainer/kernels/cpu/vector_ops.h"

#include "tests/unit/kernels/finite_difference.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/kernels/cpu/flush_denormals.h"
#include "trainer/kernels/cpu/simd.h"

namespace muster::trainer::kernels::cpu {
namespace {

TEST(VectorOps, ComputeWhatTheySay) {
  const auto x = Random(1003, 1);
  auto y = Random(1003, 2);
  const auto before = y;
  double squares = 0;
  for (float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(SumOfSquares(x.data(), x.size()), squares, 1e-10);
  Axpy(0.25f, x.data(), y.data(), y.size());
  std::vector<float> sum(x.size());
  Add(x.data(), before.data(), sum.data(), sum.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_FLOAT_EQ(y[i], before[i] + 0.25f * x[i]);
    EXPECT_EQ(sum[i], x[i] + before[i]);
  }
  Scale(4.0f, sum.data(), sum.size());
  EXPECT_EQ(sum[7], (x[7] + before[7]) * 4.0f);
  Fill(1.5f, sum.data(), sum.size());
  EXPECT_EQ(sum.back(), 1.5f);
}

TEST(VectorOps, SumsGiveTheSameBitsWhereverTheArrayLies) {
  const auto x = Random(4099, 3);
  const double first = SumOfSquares(x.data(), x.size());
  for (size_t shift = 0; shift < 16; ++shift) {
    AlignedFloats moved(x.size() + shift);
    std::copy(x.begin(), x.end(), moved.data() + shift);
    EXPECT_EQ(SumOfSquares(moved.data() + shift, x.size()), first) << "shift " << shift;
  }
}

TEST(Exp, IsWithinTwoUnitsInTheLastPlace) {
  for (float x = -87.0f; x < 88.0f; x += 0.00317f) {
    const double expected = std::exp(static_cast<double>(x));
    EXPECT_NEAR(static_cast<double>(Exp(x)) / expected, 1.0, 2.4e-7) << x;
  }
  EXPECT_LT(Exp(-1000.0f), 2e-38f);
  EXPECT_TRUE(std::isnan(Exp(std::nanf(""))));
}

TEST(AlignedFloats, AreAlignedAndZero) {
  for (size_t count : {size_t{1}, size_t{1000}, size_t{1} << 20}) {
    const AlignedFloats floats(count);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(floats.data()) % 64, 0u);
    EXPECT_EQ(SumOfSquares(floats.data(), count), 0.0);
  }
  EXPECT_EQ(AlignedFloats(0).size(), 0u);
}

TEST(FlushDenormals, MakesDenormalsZero) {
  FlushDenormals();
  volatile float tiny = 1e-38f;
  EXPECT_EQ(tiny * 0.01f, 0.0f);
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
