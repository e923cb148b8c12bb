// Out to a Hugging Face folder and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "checkpoint/number.h"
#include "checkpoint/verify.h"
#include "interchange/export.h"
#include "interchange/import.h"
#include "interchange/tensor_folder.h"
#include "interchange/tokenizer_files.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/interchange/sample_llama.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::interchange {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<float> Live(const std::vector<float>& padded, const LlamaTensor& tensor) {
  size_t count = 1;
  for (uint64_t side : tensor.shape) count *= side;
  return {padded.begin(), padded.begin() + static_cast<ptrdiff_t>(count)};
}

TEST(LlamaTensors, AreTheTrainersOwn) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    LlamaConfig config = RandomLlama(random);
    config.d_model = config.heads * 16;
    trainer::parallel::ModelConfig model;
    model.layers = static_cast<int>(config.layers);
    model.d_model = static_cast<int>(config.d_model);
    model.heads = static_cast<int>(config.heads);
    model.kv_heads = static_cast<int>(config.kv_heads);
    model.ffn = static_cast<int>(config.ffn);
    model.context = static_cast<int>(config.context);
    model.vocab = static_cast<int>(config.vocab);
    const auto table = trainer::parallel::MakeParameterTable(model, 0, 1);
    ASSERT_TRUE(table.ok()) << table.status();
    const std::vector<LlamaTensor> tensors = LlamaTensors(config);
    EXPECT_EQ(tensors.size(), table->parameters.size());
    for (const LlamaTensor& tensor : tensors) {
      const std::vector<int64_t>& shape = table->Find(tensor.name).global_shape;
      EXPECT_EQ(std::vector<uint64_t>(shape.begin(), shape.end()), tensor.padded_shape)
          << "seed " << seed << " " << tensor.name;
    }
  }
}

// Random models, layouts, batch and file sizes: the weights come back bit for bit, and a second
// export is the same files.
TEST(Exchange, ThereAndBackIsBitIdentical) {
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    std::mt19937_64 random(seed);
    TempFolder temp;
    const LlamaConfig config = RandomLlama(random);
    const checkpoint::Model model = LlamaModel(config, random);
    const auto from =
        SaveLlama(temp.path() + "/a", {9, 2}, config, model, random, 1 + random() % 4);
    ASSERT_TRUE(from.ok()) << from.status();
    ExportOptions options;
    options.batch_bytes = 4 + random() % 3000;
    options.file_bytes_max = seed % 2 ? 5'000'000'000 : 1 + random() % 20000;
    const auto exported = ExportLlama(*from, temp.path() + "/hf", options);
    ASSERT_TRUE(exported.ok()) << "seed " << seed << ": " << exported.status();
    EXPECT_EQ(fs::exists(temp.path() + "/hf/model.safetensors"), exported->files == 1);
    ImportOptions import_options;
    import_options.batch_bytes = 4 + random() % 3000;
    const auto imported = ImportLlama(temp.path() + "/hf", temp.path() + "/b", import_options);
    ASSERT_TRUE(imported.ok()) << "seed " << seed << ": " << imported.status();
    EXPECT_EQ(imported->tokenizer, "byte");
    EXPECT_EQ(ModelJson(imported->config), ModelJson(config)) << "seed " << seed;
    EXPECT_TRUE(checkpoint::Verify(imported->path).ok());
    for (const LlamaTensor& tensor : LlamaTensors(config)) {
      const std::vector<float> before = Live(ReadFloats(*from, tensor), tensor);
      const std::vector<float> after = ReadFloats(imported->path, tensor);
      EXPECT_EQ(before, Live(after, tensor)) << "seed " << seed << " " << tensor.name;
      EXPECT_TRUE(std::all_of(after.begin() + static_cast<ptrdiff_t>(before.size()), after.end(),
                              [](float value) { return value == 0; }));
    }
    const auto again = ExportLlama(imported->path, temp.path() + "/hf2", options);
    ASSERT_TRUE(again.ok()) << again.status();
    for (const auto& entry : fs::directory_iterator(temp.path() + "/hf")) {
      const std::string name = entry.path().filename().string();
      EXPECT_EQ(FileText(entry.path().string()), FileText(temp.path() + "/hf2/" + name))
          << "seed " << seed << " " << name;
    }
  }
}

TEST(Export, InBfloat16IsRoundedToNearestEven) {
  std::mt19937_64 random(3);
  TempFolder temp;
  const LlamaConfig config = RandomLlama(random);
  const auto from =
      SaveLlama(temp.path() + "/a", {9, 2}, config, LlamaModel(config, random), random, 2);
  ExportOptions options;
  options.dtype = checkpoint::DType::kBF16;
  ASSERT_TRUE(ExportLlama(*from, temp.path() + "/hf", options).ok());
  const auto imported = ImportLlama(temp.path() + "/hf", temp.path() + "/b", {});
  ASSERT_TRUE(imported.ok()) << imported.status();
  for (const LlamaTensor& tensor : LlamaTensors(config)) {
    const std::vector<float> before = Live(ReadFloats(*from, tensor), tensor);
    const std::vector<float> after = Live(ReadFloats(imported->path, tensor), tensor);
    for (size_t i = 0; i < before.size(); ++i) {
      const float rounded = std::bit_cast<float>(uint32_t{checkpoint::ToBFloat16(before[i])} << 16);
      ASSERT_EQ(rounded, after[i]) << tensor.name << " " << i;
    }
  }
  EXPECT_THAT(FileText(temp.path() + "/hf/config.json"),
              HasSubstr("\"torch_dtype\": \"bfloat16\""));
}

TEST(Export, WritesOverNothingAndLeavesNothingHalf) {
  std::mt19937_64 random(4);
  TempFolder temp;
  const LlamaConfig config = RandomLlama(random);
  const auto from =
      SaveLlama(temp.path() + "/a", {9, 2}, config, LlamaModel(config, random), random, 1);
  fs::create_directories(temp.path() + "/full");
  std::ofstream(temp.path() + "/full/mine") << "x";
  EXPECT_TRUE(absl::IsAlreadyExists(ExportLlama(*from, temp.path() + "/full", {}).status()));
  fs::create_directories(temp.path() + "/empty");
  EXPECT_TRUE(ExportLlama(*from, temp.path() + "/empty", {}).ok());

  std::fstream shard(*from + "/data/w00000.safetensors", std::ios::in | std::ios::out);
  shard.seekp(-3, std::ios::end);
  shard.put('\x5a');
  shard.close();
  const auto damaged = ExportLlama(*from, temp.path() + "/new", {});
  EXPECT_TRUE(absl::IsDataLoss(damaged.status())) << damaged.status();
  for (const auto& entry : fs::directory_iterator(temp.path())) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == "a" || name == "full" || name == "empty") << name;
  }
}

TEST(Export, SaysHowToGoOnWithoutTheTokenizer) {
  std::mt19937_64 random(5);
  TempFolder temp;
  EXPECT_TRUE(absl::IsNotFound(
      TokenizerFiles("bpe:abc", temp.path() + "/gone", checkpoint::PosixFiles()).status()));
  std::ofstream(temp.path() + "/tokenizer.model") << "other";
  const auto other = TokenizerFiles("bpe:abc", temp.path(), checkpoint::PosixFiles());
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status()));
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("--no-tokenizer"));
}

TEST(Import, OfATiedModelCopiesTheEmbedding) {
  std::mt19937_64 random(6);
  TempFolder temp;
  const LlamaConfig config = RandomLlama(random);
  checkpoint::Model model = LlamaModel(config, random);
  model.bytes["lm_head.weight"] = model.bytes["model.embed_tokens.weight"];
  const auto from = SaveLlama(temp.path() + "/a", {9, 2}, config, model, random, 2);
  ASSERT_TRUE(ExportLlama(*from, temp.path() + "/hf", {}).ok());
  std::string text = FileText(temp.path() + "/hf/config.json");
  text.replace(text.find("\"tie_word_embeddings\": false"), 28, "\"tie_word_embeddings\": true ");
  std::ofstream(temp.path() + "/hf/config.json") << text;
  const auto imported = ImportLlama(temp.path() + "/hf", temp.path() + "/b", {});
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_TRUE(imported->config.tied);
  const std::vector<LlamaTensor> tensors = LlamaTensors(config);
  const auto named = [&](const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const LlamaTensor& tensor) { return tensor.name == name; });
  };
  EXPECT_EQ(ReadFloats(imported->path, named("lm_head.weight")),
            ReadFloats(imported->path, named("model.embed_tokens.weight")));
}

TEST(Import, TwiceIntoOneFolderIsRefusedAndAfterAKillItGoesOn) {
  std::mt19937_64 random(7);
  TempFolder temp;
  const LlamaConfig config = RandomLlama(random);
  const auto from =
      SaveLlama(temp.path() + "/a", {9, 2}, config, LlamaModel(config, random), random, 2);
  ASSERT_TRUE(ExportLlama(*from, temp.path() + "/hf", {}).ok());
  // Killed with more shards written than the next try will.
  const std::string data = temp.path() + "/b/step-0000000000.a0/data";
  fs::create_directories(data);
  std::ofstream(data + "/w00077.safetensors") << "left over";
  ASSERT_TRUE(ImportLlama(temp.path() + "/hf", temp.path() + "/b", {}).ok());
  EXPECT_TRUE(checkpoint::Verify(temp.path() + "/b/step-0000000000.a0").ok());
  EXPECT_TRUE(
      absl::IsAlreadyExists(ImportLlama(temp.path() + "/hf", temp.path() + "/b", {}).status()));
}

TEST(ByteTokenizer, GivesEveryByteALetterOfItsOwn) {
  const std::string json = ByteTokenizerJson();
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_THAT(json, HasSubstr("\": " + std::to_string(byte))) << byte;
  }
  EXPECT_THAT(json, HasSubstr("\"A\": 65"));
  EXPECT_THAT(json, HasSubstr("\"\u0120\": 32"));  // space
  EXPECT_THAT(json, HasSubstr("\"\u010a\": 10"));  // line end
}

}  // namespace
}  // namespace muster::interchange
