#include "trainer/kernels/cpu/rope.h"

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr int64_t kContext = 6;
constexpr int64_t kRows = 12;  // two sequences
constexpr int64_t kHeads = 2;
constexpr int64_t kDim = 8;
constexpr int64_t kStride = kHeads * kDim + 5;  // the last five are not turned
constexpr double kTheta = 100.0;

std::vector<double> Plain(const std::vector<double>& x) {
  std::vector<double> y = x;
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t head = 0; head < kHeads; ++head) {
      for (int64_t i = 0; i < kDim / 2; ++i) {
        const size_t a = static_cast<size_t>(row * kStride + head * kDim + i);
        const size_t b = a + kDim / 2;
        const double angle = static_cast<double>(row % kContext) *
                             std::pow(kTheta, -2.0 * static_cast<double>(i) / kDim);
        y[a] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
        y[b] = x[b] * std::cos(angle) + x[a] * std::sin(angle);
      }
    }
  }
  return y;
}

TEST(Rope, ForwardAndBackwardAgreeWithTheJudge) {
  const RopeTable table(kContext, kDim, kTheta);
  const auto x = Random(kRows * kStride, 1);
  auto y = x;
  Rope(table, Turn::kForward, kRows, kHeads, kStride, y.data());
  ExpectClose(y, Plain(Doubles(x)), "y");

  const auto dy = Random(kRows * kStride, 2);
  auto dx = dy;
  Rope(table, Turn::kBackward, kRows, kHeads, kStride, dx.data());
  ExpectClose(dx, Differences(Doubles(x), [&](const auto& v) { return Dot(Plain(v), dy); }), "dx");
}

TEST(Rope, BackwardUndoesForward) {
  const RopeTable table(kContext, kDim, kTheta);
  const auto x = Random(kRows * kStride, 3);
  auto y = x;
  Rope(table, Turn::kForward, kRows, kHeads, kStride, y.data());
  Rope(table, Turn::kBackward, kRows, kHeads, kStride, y.data());
  ExpectClose(y, Doubles(x), "x");
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
