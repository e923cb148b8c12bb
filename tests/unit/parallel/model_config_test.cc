#include "trainer/parallel/model_config.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::parallel {
namespace {

ModelConfig Small() {
  return {.layers = 2,
          .d_model = 64,
          .heads = 4,
          .kv_heads = 2,
          .ffn = 96,
          .context = 32,
          .vocab = 300};
}

TEST(ModelConfig, PadsTheVocabularyTheSameForEveryLayout) {
  EXPECT_EQ(Small().padded_vocab(), 320);
  ModelConfig exact = Small();
  exact.vocab = 320;
  EXPECT_EQ(exact.padded_vocab(), 320);
}

TEST(ModelConfig, CountsWhatTheTableHolds) {
  const ParameterTable table = *MakeParameterTable(Small(), 0, 1);
  size_t total = 0;
  for (const Parameter& parameter : table.parameters) total += parameter.count;
  EXPECT_EQ(ParameterCount(Small()), static_cast<int64_t>(total));
}

TEST(CheckModel, NamesTheNumbersAndWhatToChange) {
  const struct {
    const char* name;
    std::function<void(ModelConfig&)> change;
    int tensor;
    const char* message;
  } cases[] = {
      {"no layers", [](ModelConfig& c) { c.layers = 0; }, 1, "layers is 0"},
      {"no ranks", [](ModelConfig&) {}, 0, "mesh.tensor is 0"},
      {"eps", [](ModelConfig& c) { c.norm_eps = 0; }, 1, "norm_eps 0"},
      {"heads", [](ModelConfig& c) { c.heads = 5; }, 1, "d_model 64 is not divisible by heads 5"},
      {"narrow head", [](ModelConfig& c) { c.heads = c.kv_heads = 32; }, 1, "(2) of 4"},
      {"kv", [](ModelConfig& c) { c.kv_heads = 3; }, 1, "heads 4 is not divisible by kv_heads 3"},
      {"few kv", [](ModelConfig&) {}, 4, "lower mesh.tensor to at most 2"},
      {"odd kv",
       [](ModelConfig& c) {
         c.heads = c.kv_heads = 4;
         c.context = 30;
       },
       3, "kv_heads 4 is not divisible by mesh.tensor 3"},
      {"ffn", [](ModelConfig& c) { c.ffn = 100; }, 2, "take 96 or 104"},
      {"context", [](ModelConfig& c) { c.context = 31; }, 2,
       "context 31 is not divisible by mesh.tensor 2"},
  };
  for (const auto& c : cases) {
    ModelConfig config = Small();
    c.change(config);
    const absl::Status status = CheckModel(config, c.tensor);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.name;
    EXPECT_NE(std::string(status.message()).find(c.message), std::string::npos)
        << c.name << ": " << status.message();
  }
  EXPECT_TRUE(CheckModel(Small(), 1).ok());
  EXPECT_TRUE(CheckModel(Small(), 2).ok());
}

}  // namespace
}  // namespace muster::trainer::parallel
