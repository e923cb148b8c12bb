#include "trainer/kernels/cpu/cross_entropy.h"

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr size_t kRows = 4;
constexpr size_t kVocab = 22;
const std::vector<int32_t> kTargets = {3, 21, -1, 12};

double PlainLoss(const std::vector<double>& logits) {
  double loss = 0;
  for (size_t row = 0; row < kRows; ++row) {
    if (kTargets[row] < 0) continue;
    double sum = 0;
    for (size_t i = 0; i < kVocab; ++i) sum += std::exp(logits[row * kVocab + i]);
    loss += std::log(sum) - logits[row * kVocab + static_cast<size_t>(kTargets[row])];
  }
  return loss;
}

// The vocabulary over `ranks` ranks, each with `stride` columns of room, combined as the model
// does.
void CheckSplit(size_t ranks, size_t stride) {
  const auto logits = Random(kRows * kVocab, 1, 4.0f);
  std::vector<std::vector<float>> parts;
  std::vector<float> max(kRows, -1e30f), sum(kRows), target(kRows);
  const int64_t step = static_cast<int64_t>(stride);
  const auto held = [&](size_t rank) {
    return static_cast<int64_t>(std::min(stride, kVocab - rank * stride));
  };
  for (size_t rank = 0; rank < ranks; ++rank) {
    std::vector<float> part(kRows * stride, 77.0f), local(kRows);
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < static_cast<size_t>(held(rank)); ++i) {
        part[row * stride + i] = logits[row * kVocab + rank * stride + i];
      }
    }
    RowMax(part.data(), kRows, held(rank), step, local.data());
    for (size_t row = 0; row < kRows; ++row) max[row] = std::max(max[row], local[row]);
    parts.push_back(std::move(part));
  }
  for (size_t rank = 0; rank < ranks; ++rank) {
    std::vector<float> local_sum(kRows), local_target(kRows);
    SumExp(max.data(), kTargets.data(), static_cast<int64_t>(rank * stride), kRows, held(rank),
           step, parts[rank].data(), local_sum.data(), local_target.data());
    for (size_t row = 0; row < kRows; ++row) {
      sum[row] += local_sum[row];
      target[row] += local_target[row];
    }
  }
  double loss = 0;
  for (size_t row = 0; row < kRows; ++row) {
    if (kTargets[row] >= 0) {
      loss += static_cast<double>(std::log(sum[row]) + max[row] - target[row]);
    }
  }
  EXPECT_NEAR(loss, PlainLoss(Doubles(logits)), 1e-5);

  const auto judge = Differences(Doubles(logits), PlainLoss);
  std::vector<float> gradient(judge.size());
  for (size_t rank = 0; rank < ranks; ++rank) {
    CrossEntropyBackward(sum.data(), kTargets.data(), 0.5f, static_cast<int64_t>(rank * stride),
                         kRows, held(rank), step, parts[rank].data());
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < stride; ++i) {
        const float value = parts[rank][row * stride + i];
        if (i < static_cast<size_t>(held(rank))) {
          gradient[row * kVocab + rank * stride + i] = value * 2.0f;
        } else {
          EXPECT_EQ(value, 0.0f) << "padding";
        }
      }
    }
  }
  ExpectClose(gradient, judge, "logit gradient");
}

TEST(CrossEntropy, WholeVocabularyAgreesWithTheJudge) { CheckSplit(1, kVocab); }
TEST(CrossEntropy, PaddedVocabularyAgreesWithTheJudge) { CheckSplit(1, 32); }
TEST(CrossEntropy, VocabularyOverThreeRanksAgreesWithTheJudge) { CheckSplit(3, 8); }

}  // namespace
}  // namespace muster::trainer::kernels::cpu
