#include "trainer/kernels/cpu/embedding.h"

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

// A rank that holds tokens 4 to 6 of a vocabulary.
const std::vector<int32_t> kTokens = {5, 0, 6, 5, 7, 4};
constexpr size_t kWidth = 3;

std::vector<double> Plain(const std::vector<double>& table) {
  std::vector<double> out;
  for (int32_t token : kTokens) {
    for (size_t i = 0; i < kWidth; ++i) {
      const bool held = token >= 4 && token <= 6;
      out.push_back(held ? table[static_cast<size_t>(token - 4) * kWidth + i] : 0.0);
    }
  }
  return out;
}

TEST(Embedding, ForwardAndBackwardAgreeWithTheJudge) {
  const int64_t rows = static_cast<int64_t>(kTokens.size());
  const auto table = Random(3 * kWidth, 1);
  std::vector<float> out(kTokens.size() * kWidth, 9.0f);
  EmbeddingForward(table.data(), 4, 3, kTokens.data(), rows, kWidth, out.data());
  ExpectClose(out, Plain(Doubles(table)), "out");

  const auto dout = Random(out.size(), 2);
  std::vector<float> dtable(table.size(), 1.0f);  // it adds
  EmbeddingBackward(dout.data(), 4, 3, kTokens.data(), rows, kWidth, dtable.data());
  auto judge = Differences(Doubles(table), [&](const auto& v) { return Dot(Plain(v), dout); });
  for (double& value : judge) value += 1.0;
  ExpectClose(dtable, judge, "dtable");
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
