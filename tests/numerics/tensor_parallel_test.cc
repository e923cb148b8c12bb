// Tensor sizes 1, 2 and 4 compute the same model.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/numerics/tensor_ranks.h"
#include "trainer/model/init.h"

namespace muster::trainer::model {
namespace {

// The second has a vocabulary that leaves the last of four ranks without one real token.
constexpr parallel::ModelConfig kConfigs[] = {
    {.layers = 2, .d_model = 64, .heads = 8, .kv_heads = 4, .ffn = 96, .context = 32, .vocab = 300},
    {.layers = 1, .d_model = 32, .heads = 4, .kv_heads = 4, .ffn = 16, .context = 8, .vocab = 40}};

TEST(TensorParallel, ShardedInitEqualsGatheredInitExactly) {
  for (const parallel::ModelConfig& config : kConfigs) {
    WholeTensors whole[3];
    for (int i = 0; i < 3; ++i) {
      const int tensor = 1 << i;
      for (int rank = 0; rank < tensor; ++rank) {
        const auto table = *parallel::MakeParameterTable(config, rank, tensor);
        std::vector<float> params(table.size);
        InitParameters(config, table, 42, params);
        Collect(table, params, whole[i]);
      }
    }
    EXPECT_EQ(whole[0], whole[1]);
    EXPECT_EQ(whole[0], whole[2]);
  }
}

TEST(Init, HasTheStatedMomentsAndDependsOnTheSeed) {
  const auto table = *parallel::MakeParameterTable(kConfigs[0], 0, 1);
  std::vector<float> params(table.size), other(table.size);
  InitParameters(kConfigs[0], table, 1, params);
  InitParameters(kConfigs[0], table, 2, other);
  for (const parallel::Parameter& parameter : table.parameters) {
    if (parameter.replicated()) {
      EXPECT_EQ(params[parameter.begin], 1.0f);
      continue;
    }
    double sum = 0;
    double squares = 0;
    for (size_t i = parameter.begin; i < parameter.begin + parameter.count; ++i) {
      sum += static_cast<double>(params[i]);
      squares += static_cast<double>(params[i]) * static_cast<double>(params[i]);
    }
    const double n = static_cast<double>(parameter.count);
    const bool ends_branch = parameter.name.find("o_proj") != std::string::npos ||
                             parameter.name.find("down_proj") != std::string::npos;
    const double deviation = ends_branch ? 0.01 : 0.02;  // 0.02 / sqrt(2 · 2 layers)
    EXPECT_NEAR(sum / n, 0.0, 5 * deviation / std::sqrt(n)) << parameter.name;
    EXPECT_NEAR(std::sqrt(squares / n) / deviation, 1.0, 5 / std::sqrt(2 * n)) << parameter.name;
    EXPECT_NE(params[parameter.begin], other[parameter.begin]) << parameter.name;
  }
}

// fp32 sums in another order: loss to 1e-6 relative, logits and every gradient to 2e-5 of the
// largest one of its tensor.
TEST(TensorParallel, LossLogitsAndEveryGradientAgree) {
  for (const parallel::ModelConfig& config : kConfigs) {
    const Batch batch = MakeBatch(config, 2, 11);
    const Outcome one = RunTensorGroup(config, 1, batch, 0.5f);
    std::vector<int> last_first(static_cast<size_t>(config.layers) + 2);
    std::iota(last_first.rbegin(), last_first.rend(), 0);
    EXPECT_EQ(one.bucket_calls, last_first);
    for (int tensor : {2, 4}) {
      const Outcome many = RunTensorGroup(config, tensor, batch, 0.5f);
      EXPECT_EQ(many.bucket_calls, last_first);
      EXPECT_EQ(many.loss.count, one.loss.count);
      EXPECT_NEAR(many.loss.sum / one.loss.sum, 1.0, 1e-6) << "tensor " << tensor;
      ASSERT_EQ(many.logits.size(), static_cast<size_t>(config.vocab));
      for (size_t i = 0; i < one.logits.size(); ++i) {
        EXPECT_NEAR(many.logits[i], one.logits[i], 2e-5) << "logit " << i;
      }
      ASSERT_EQ(many.grads.size(), one.grads.size());
      for (const auto& [name, expected] : one.grads) {
        const std::vector<float>& gradient = many.grads.at(name);
        float largest = 0;
        float worst = 0;
        for (size_t i = 0; i < expected.size(); ++i) {
          largest = std::max(largest, std::abs(expected[i]));
          worst = std::max(worst, std::abs(expected[i] - gradient[i]));
        }
        EXPECT_LE(worst, 2e-5f * largest) << name << ", tensor " << tensor;
      }
    }
  }
}

TEST(TensorParallel, TwoRunsGiveTheSameBits) {
  const Batch batch = MakeBatch(kConfigs[0], 2, 12);
  const Outcome first = RunTensorGroup(kConfigs[0], 4, batch, 1.0f);
  const Outcome second = RunTensorGroup(kConfigs[0], 4, batch, 1.0f);
  EXPECT_EQ(first.loss.sum, second.loss.sum);
  EXPECT_EQ(first.grads, second.grads);
  EXPECT_EQ(first.logits, second.logits);
}

}  // namespace
}  // namespace muster::trainer::model
