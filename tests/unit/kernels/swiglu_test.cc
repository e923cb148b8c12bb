#include "trainer/kernels/cpu/swiglu.h"

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr int64_t kRows = 4;
constexpr size_t kWidth = 21;

std::vector<double> Plain(const std::vector<double>& gate_up) {
  std::vector<double> out;
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < kWidth; ++i) {
      const double gate = gate_up[row * 2 * kWidth + i];
      out.push_back(gate / (1 + std::exp(-gate)) * gate_up[row * 2 * kWidth + kWidth + i]);
    }
  }
  return out;
}

TEST(Swiglu, ForwardAndBackwardAgreeWithTheJudge) {
  auto gate_up = Random(kRows * 2 * kWidth, 1, 6.0f);
  std::vector<float> out(kRows * kWidth);
  SwigluForward(gate_up.data(), kRows, kWidth, out.data());
  ExpectClose(out, Plain(Doubles(gate_up)), "out");

  const auto dout = Random(kRows * kWidth, 2);
  const auto judge =
      Differences(Doubles(gate_up), [&](const auto& v) { return Dot(Plain(v), dout); });
  SwigluBackward(dout.data(), kRows, kWidth, gate_up.data());
  ExpectClose(gate_up, judge, "gate_up gradient");
}

TEST(Swiglu, StaysFiniteFarOut) {
  std::vector<float> gate_up = {-200.0f, 200.0f, 1.0f, 1.0f};
  std::vector<float> out(2);
  SwigluForward(gate_up.data(), 1, 2, out.data());
  EXPECT_NEAR(out[0], 0.0f, 1e-30f);
  EXPECT_FLOAT_EQ(out[1], 200.0f);
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
