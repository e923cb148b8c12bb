#include "trainer/kernels/cpu/rms_norm.h"

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kWidth = 37;
constexpr float kEps = 1e-5f;

std::vector<double> Plain(const std::vector<double>& x, const std::vector<double>& weight) {
  std::vector<double> y(x.size());
  for (size_t row = 0; row < x.size(); row += kWidth) {
    double squares = 0;
    for (size_t i = 0; i < kWidth; ++i) squares += x[row + i] * x[row + i];
    const double rms = std::sqrt(squares / kWidth + static_cast<double>(kEps));
    for (size_t i = 0; i < kWidth; ++i) y[row + i] = x[row + i] / rms * weight[i];
  }
  return y;
}

TEST(RmsNorm, ForwardAndBackwardAgreeWithTheJudge) {
  const auto x = Random(kRows * kWidth, 1);
  const auto weight = Random(kWidth, 2);
  const auto dy = Random(kRows * kWidth, 3);
  std::vector<float> y(x.size()), inv_rms(kRows);
  RmsNormForward(x.data(), weight.data(), kEps, kRows, kWidth, y.data(), inv_rms.data());
  ExpectClose(y, Plain(Doubles(x), Doubles(weight)), "y");

  std::vector<float> dx(x.size(), 1.0f), dweight(kWidth, 1.0f);  // it adds
  RmsNormBackward(dy.data(), x.data(), weight.data(), inv_rms.data(), kRows, kWidth, dx.data(),
                  dweight.data());
  auto judge_x = Differences(
      Doubles(x), [&](const std::vector<double>& v) { return Dot(Plain(v, Doubles(weight)), dy); });
  auto judge_weight = Differences(
      Doubles(weight), [&](const std::vector<double>& v) { return Dot(Plain(Doubles(x), v), dy); });
  for (double& value : judge_x) value += 1.0;
  for (double& value : judge_weight) value += 1.0;
  ExpectClose(dx, judge_x, "dx");
  ExpectClose(dweight, judge_weight, "dweight");
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
