// The whole model against the judge (plain_model.h).
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/numerics/plain_model.h"
#include "tests/numerics/tensor_ranks.h"
#include "trainer/model/model.h"

namespace muster::trainer::model {
namespace {

constexpr parallel::ModelConfig kConfig = {
    .layers = 2, .d_model = 32, .heads = 4, .kv_heads = 2, .ffn = 48, .context = 12, .vocab = 70};

absl::Status Ignore(int) { return absl::OkStatus(); }

struct Computed {
  TokenLoss loss;
  std::vector<float> grads;
};

Computed Compute(const std::vector<float>& params, const Batch& batch, float loss_scale) {
  const int sequences = static_cast<int>(batch.tokens.size()) / kConfig.context;
  auto model = *Model::Create(kConfig, sequences, nullptr);
  Computed computed;
  computed.grads.resize(params.size());
  computed.loss = *model->Forward(params, batch.tokens, batch.targets);
  EXPECT_TRUE(model->Backward(params, loss_scale, false, computed.grads, Ignore).ok());
  return computed;
}

TEST(ModelGradient, LossEqualsTheJudges) {
  const auto table = *parallel::MakeParameterTable(kConfig, 0, 1);
  const auto params = MakeParameters(kConfig, table);
  const Batch batch = MakeBatch(kConfig, 3, 1);
  const Computed computed = Compute(params, batch, 1.0f);
  const double judge = PlainLoss(kConfig, table, std::vector<double>(params.begin(), params.end()),
                                 batch.tokens, batch.targets);
  int64_t counted = 0;
  for (int32_t target : batch.targets) counted += target >= 0;
  EXPECT_EQ(computed.loss.count, counted);
  EXPECT_NEAR(computed.loss.sum / judge, 1.0, 1e-6);
}

// Per tensor, along three random directions v (each element ±1):
// |⟨fp32 gradient, v⟩ - judge's difference| ≤ 2e-5 · |gradient| · |v| + 1e-6. The first term is
// fp32 rounding, the second the error of the differences themselves.
TEST(ModelGradient, EveryTensorAgreesWithTheJudgesDifferences) {
  const auto table = *parallel::MakeParameterTable(kConfig, 0, 1);
  const auto params = MakeParameters(kConfig, table);
  const Batch batch = MakeBatch(kConfig, 2, 2);
  const Computed computed = Compute(params, batch, 0.5f);
  std::mt19937 random(3);
  for (const parallel::Parameter& parameter : table.parameters) {
    for (int round = 0; round < 3; ++round) {
      std::vector<double> direction(parameter.count);
      for (double& value : direction) value = random() % 2 == 0 ? 1.0 : -1.0;
      const auto loss = [&](double step) {
        std::vector<double> moved(params.begin(), params.end());
        for (size_t i = 0; i < parameter.count; ++i) {
          moved[parameter.begin + i] += step * direction[i];
        }
        return 0.5 * PlainLoss(kConfig, table, moved, batch.tokens, batch.targets);
      };
      constexpr double kStep = 1e-5;
      const double judge = (loss(kStep) - loss(-kStep)) / (2 * kStep);
      double product = 0;
      double squares = 0;
      for (size_t i = 0; i < parameter.count; ++i) {
        const double gradient = static_cast<double>(computed.grads[parameter.begin + i]);
        product += gradient * direction[i];
        squares += gradient * gradient;
      }
      const double size = std::sqrt(squares * static_cast<double>(parameter.count));
      EXPECT_GT(squares, 1e-8) << parameter.name << " has no gradient to judge";
      EXPECT_NEAR(product, judge, 2e-5 * size + 1e-6) << parameter.name;
    }
  }
}

TEST(ModelGradient, PaddingAndUnseenTokensGetNone) {
  const auto table = *parallel::MakeParameterTable(kConfig, 0, 1);
  const auto params = MakeParameters(kConfig, table);
  const Computed computed = Compute(params, MakeBatch(kConfig, 1, 4), 1.0f);
  std::vector<bool> owned(table.size);
  for (const parallel::Parameter& parameter : table.parameters) {
    for (size_t i = 0; i < parameter.count; ++i) owned[parameter.begin + i] = true;
  }
  for (size_t i = 0; i < table.size; ++i) {
    if (owned[i]) continue;
    EXPECT_EQ(computed.grads[i], 0.0f) << "padding at " << i;
  }
  const parallel::Parameter& output = table.Find("lm_head.weight");
  for (size_t i = size_t{70} * 32; i < output.count; ++i) {
    EXPECT_EQ(computed.grads[output.begin + i], 0.0f) << "row beyond the vocabulary";
  }
}

TEST(ModelGradient, TwoRunsGiveTheSameBits) {
  const auto table = *parallel::MakeParameterTable(kConfig, 0, 1);
  const auto params = MakeParameters(kConfig, table);
  const Batch batch = MakeBatch(kConfig, 4, 5);
  const Computed first = Compute(params, batch, 1.0f);
  const Computed second = Compute(params, batch, 1.0f);
  EXPECT_EQ(first.loss.sum, second.loss.sum);
  EXPECT_EQ(first.grads, second.grads);
}

// Two micro-batches accumulated against one twice the size; fp32 sums in another order:
// 1e-5 of the tensor's largest gradient.
TEST(ModelGradient, AccumulatedMicroBatchesEqualOneBigBatch) {
  const auto table = *parallel::MakeParameterTable(kConfig, 0, 1);
  const auto params = MakeParameters(kConfig, table);
  const Batch batch = MakeBatch(kConfig, 4, 6);
  const Computed whole = Compute(params, batch, 0.25f);
  auto model = *Model::Create(kConfig, 2, nullptr);
  std::vector<float> grads(params.size(), 9.0f);
  TokenLoss loss;
  for (size_t half = 0; half < 2; ++half) {
    const size_t n = batch.tokens.size() / 2;
    const TokenLoss part = *model->Forward(params, std::span(batch.tokens).subspan(half * n, n),
                                           std::span(batch.targets).subspan(half * n, n));
    ASSERT_TRUE(model->Backward(params, 0.25f, half == 1, grads, Ignore).ok());
    loss.sum += part.sum;
    loss.count += part.count;
  }
  EXPECT_EQ(loss.count, whole.loss.count);
  EXPECT_NEAR(loss.sum, whole.loss.sum, 1e-6 * whole.loss.sum);
  for (const parallel::Parameter& parameter : table.parameters) {
    float largest = 0;
    float worst = 0;
    for (size_t i = parameter.begin; i < parameter.begin + parameter.count; ++i) {
      largest = std::max(largest, std::abs(whole.grads[i]));
      worst = std::max(worst, std::abs(whole.grads[i] - grads[i]));
    }
    EXPECT_LE(worst, 1e-5f * largest) << parameter.name;
  }
}

TEST(Model, RefusesTokensOutsideTheVocabulary) {
  auto model = *Model::Create(kConfig, 1, nullptr);
  const std::vector<float> params(model->table().size);
  std::vector<int32_t> tokens(12, 1);
  tokens[3] = 70;
  const auto loss = model->Forward(params, tokens, std::vector<int32_t>(12, 1));
  ASSERT_FALSE(loss.ok());
  EXPECT_EQ(
      std::string(loss.status().message()),
      "forward: token 70 with target 1 at row 3 is not in [0, 70); was the data prepared with "
      "another tokenizer?");
  EXPECT_FALSE(model->Logits(params, std::vector<int32_t>(13, 1)).ok());
  EXPECT_FALSE(Model::Create(kConfig, 0, nullptr).ok());
}

}  // namespace
}  // namespace muster::trainer::model
