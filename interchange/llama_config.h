// The numbers of a Llama model, in a checkpoint's words and in Hugging Face's config.json, and the
// tensors that follow from them.
//
// A checkpoint's weights carry the names and layouts of Hugging Face's Llama already: matrices are
// [out, in], row-major, and rotary embedding pairs element i of a head with i + head_dim / 2. So
// nothing is permuted. The one difference: here the vocabulary is padded to a multiple of 64 rows,
// which get no probability and no gradient; there it is not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::interchange {

struct LlamaConfig {
  uint64_t layers = 0;
  uint64_t d_model = 0;
  uint64_t heads = 0;
  uint64_t kv_heads = 0;
  uint64_t ffn = 0;
  uint64_t context = 0;
  uint64_t vocab = 0;
  double rope_theta = 10000.0;
  double norm_eps = 1e-5;
  bool tied = false;  // only in what is imported: the output projection is the embedding

  uint64_t padded_vocab() const { return (vocab + 63) / 64 * 64; }
};

struct LlamaTensor {
  std::string name;
  std::vector<uint64_t> shape;         // in a Hugging Face folder
  std::vector<uint64_t> padded_shape;  // in a checkpoint
};

// All tensors, by name.
std::vector<LlamaTensor> LlamaTensors(const LlamaConfig& config);

// The `model` object of a checkpoint's run state. Errors: kDataLoss: no such model.
absl::StatusOr<LlamaConfig> ParseModelJson(const std::string& text);
std::string ModelJson(const LlamaConfig& config);

// config.json of a LlamaForCausalLM. `dtype`: "float32" or "bfloat16". `end` is the token that ends
// a document, and begins one.
std::string ConfigJson(const LlamaConfig& config, std::string_view dtype, uint32_t end);

// Takes hostile input. Errors: kInvalidArgument names the field: another architecture, or a Llama
// with something that muster-train does not have (rope scaling, biases, another activation).
absl::StatusOr<LlamaConfig> ParseConfigJson(std::string_view text);

}  // namespace muster::interchange
