// Folders from strangers: damaged, wrong or made to harm. Each is refused in one line that names
// what is wrong; none is read beyond its bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "interchange/export.h"
#include "interchange/import.h"
#include "interchange/plain_header.h"
#include "interchange/tensor_folder.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/interchange/sample_llama.h"

namespace muster::interchange {
namespace {

namespace fs = std::filesystem;

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string Safetensors(const std::string& json, size_t data_bytes) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>((json.size() >> (8 * i)) & 0xff);
  return out + json + std::string(data_bytes, '\1');
}

class HostileFolder : public testing::Test {
 protected:
  HostileFolder() {
    std::mt19937_64 random(11);
    config_ = RandomLlama(random);
    const auto from =
        SaveLlama(temp_.path() + "/a", {1, 1}, config_, LlamaModel(config_, random), random, 1);
    EXPECT_TRUE(ExportLlama(*from, Good(), {}).ok());
    ExportOptions options;
    options.file_bytes_max = 3000;
    EXPECT_TRUE(ExportLlama(*from, Sharded(), options).ok());
  }
  std::string Good() const { return temp_.path() + "/good"; }
  std::string Sharded() const { return temp_.path() + "/sharded"; }

  absl::Status ImportOf(const std::string& folder) {
    fs::remove_all(temp_.path() + "/out");
    return ImportLlama(folder, temp_.path() + "/out", {}).status();
  }

  TempFolder temp_;
  LlamaConfig config_;
};

TEST_F(HostileFolder, ConfigsThatAreNoLlamaOfOursAreRefusedByField) {
  const std::string good = FileText(Good() + "/config.json");
  const struct {
    const char* from;
    const char* to;
    const char* said;
  } cases[] = {
      {"\"model_type\": \"llama\"", "\"model_type\": \"mistral\"", "model_type"},
      {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act"},
      {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"},
      {"\"mlp_bias\": false", "\"mlp_bias\": true", "mlp_bias"},
      {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"llama3\"}", "rope_scaling"},
      {"\"rope_scaling\": null", "\"rope_scaling\": 3", "rope_scaling"},
      {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": \"no\"", "tie_word_embeddings"},
      {"\"num_hidden_layers\": ", "\"num_hidden_layers\": -", "num_hidden_layers"},
      {"\"num_hidden_layers\": ", "\"num_hidden_layers\": 99999999999", "layers"},
      {"\"vocab_size\": ", "\"vocab_size\": 1e", "vocab_size"},
      {"\"head_dim\": ", "\"head_dim\": 9", "head_dim"},
      {"\"rms_norm_eps\": ", "\"rms_norm_eps\": -", "rms_norm_eps"},
      {"\"hidden_size\"", "\"hidden_sizes\"", "hidden_size"},
      {"{", "[", "config.json"},
  };
  for (const auto& c : cases) {
    std::string text = good;
    text.replace(text.find(c.from), std::string(c.from).size(), c.to);
    Write(Good() + "/config.json", text);
    const absl::Status status = ImportOf(Good());
    EXPECT_FALSE(status.ok()) << c.to;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(c.said)) << c.to;
    EXPECT_EQ(std::string(status.message()).find('\n'), std::string::npos);
    EXPECT_FALSE(fs::exists(temp_.path() + "/out")) << c.to;
  }
  Write(Good() + "/config.json", good);
  EXPECT_TRUE(ImportOf(Good()).ok());
}

TEST_F(HostileFolder, HeadersThatLieAreRefused) {
  const struct {
    const char* name;
    std::string file;
  } cases[] = {
      {"nothing", ""},
      {"seven bytes", "1234567"},
      {"a length past the file", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}"},
      {"no JSON", Safetensors("hello", 0)},
      {"deep JSON", Safetensors(std::string(2000, '['), 0)},
      {"a list", Safetensors("[]", 0)},
      {"an overflowing shape",
       Safetensors(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
                   0)},
      {"a shape that is not its range",
       Safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4)},
      {"a range past the file",
       Safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4)},
      {"bytes left over",
       Safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5)},
      {"a hole", Safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8)},
      {"an overlap", Safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                 R"("y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                 4)},
      {"a tensor twice", Safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                     R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                     8)},
      {"a range backwards",
       Safetensors(R"({"x":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}})", 4)},
      {"negative offsets",
       Safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4)},
      {"an unknown dtype",
       Safetensors(R"({"x":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", 4)},
  };
  for (const auto& c : cases) {
    Write(Good() + "/model.safetensors", c.file);
    const auto opened = TensorFolder::Open(Good(), checkpoint::PosixFiles());
    EXPECT_FALSE(opened.ok()) << c.name;
    EXPECT_THAT(std::string(opened.status().message()), testing::HasSubstr("model.safetensors"))
        << c.name;
  }
}

TEST_F(HostileFolder, TensorsThatAreWrongAreNamed) {
  const struct {
    const char* name;
    std::function<void(std::vector<PlainTensor>&)> change;
    const char* said;
  } cases[] = {
      {"missing",
       [](auto& t) { std::erase_if(t, [](auto& x) { return x.name == "lm_head.weight"; }); },
       "lm_head.weight is missing"},
      {"of another shape", [](auto& t) { t[0].shape.back() += 1; }, "by config.json it must be"},
      {"of integers", [](auto& t) { t[0].dtype = checkpoint::DType::kI32; }, "must be F32"},
      {"too many",
       [](auto& t) {
         t.push_back({"model.secret", checkpoint::DType::kF32, {1}});
       },
       "model.secret is no tensor of this model"},
  };
  for (const auto& c : cases) {
    std::vector<PlainTensor> tensors;
    for (const LlamaTensor& tensor : LlamaTensors(config_)) {
      tensors.push_back({tensor.name, checkpoint::DType::kF32, tensor.shape});
    }
    c.change(tensors);
    uint64_t bytes = 0;
    for (const PlainTensor& tensor : tensors) bytes += tensor.bytes();
    Write(Good() + "/model.safetensors", PlainHeader(tensors) + std::string(bytes, '\0'));
    const absl::Status status = ImportOf(Good());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.name << ": " << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(c.said)) << c.name;
  }
}

TEST_F(HostileFolder, IndexesThatLeadElsewhereAreRefused) {
  const std::string path = Sharded() + "/model.safetensors.index.json";
  const std::string good = FileText(path);
  ASSERT_TRUE(ImportOf(Sharded()).ok());
  for (const std::string bad : {"../good/model.safetensors", "/etc/passwd", "model.bin",
                                ".hidden.safetensors", "", "a/b.safetensors", "gone.safetensors"}) {
    std::string text = good;
    const std::string first = "model-00001-of-";
    const size_t at = text.find(first);
    const size_t end = text.find('"', at);
    text.replace(at, end - at, bad);
    Write(path, text);
    EXPECT_FALSE(ImportOf(Sharded()).ok()) << bad;
  }
  Write(path, R"({"weight_map": {}})");
  EXPECT_FALSE(ImportOf(Sharded()).ok());
  // A tensor said to be in the other file.
  std::string text = good;
  const size_t at = text.find("model-00001-of-");
  text.replace(at, 11, "model-00002");
  Write(path, text);
  EXPECT_THAT(std::string(ImportOf(Sharded()).message()), testing::HasSubstr("which it does not"));
}

// Any flipped byte and any cut of header or config is refused or harmless, never more.
TEST_F(HostileFolder, RandomDamageNeverCrashes) {
  std::mt19937_64 random(12);
  const std::string weights = FileText(Good() + "/model.safetensors");
  const std::string config = FileText(Good() + "/config.json");
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    const bool in_config = i % 3 == 0;
    std::string text = in_config ? config : weights;
    const size_t head = in_config ? text.size() : 8 + PlainHeader({}).size() + 400;
    if (i % 5 == 0) {
      text.resize(random() % text.size());
    } else {
      text[random() % std::min(head, text.size())] ^= static_cast<char>(1 + random() % 255);
    }
    Write(Good() + (in_config ? "/config.json" : "/model.safetensors"), text);
    if (!ImportOf(Good()).ok()) ++refused;
    Write(Good() + "/config.json", config);
    Write(Good() + "/model.safetensors", weights);
  }
  EXPECT_GT(refused, 75);
}

}  // namespace
}  // namespace muster::interchange
