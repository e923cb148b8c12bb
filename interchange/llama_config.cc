#include "interchange/llama_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::interchange {
namespace {

using Json = nlohmann::json;
using checkpoint::U64Field;

// No model is larger on any side; keeps products far from overflow.
constexpr uint64_t kSideMax = 1u << 24;
constexpr uint64_t kLayersMax = 1u << 14;
constexpr double kDefaultTheta = 10000.0;

absl::StatusOr<double> PositiveField(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) {
    return InvalidArgument("{} is missing or no number", key);
  }
  const double value = found->get<double>();
  if (!std::isfinite(value) || value <= 0) return InvalidArgument("{} is {}", key, value);
  return value;
}

absl::Status CheckConfig(const LlamaConfig& config) {
  const struct {
    const char* name;
    uint64_t value, max;
  } sides[] = {{"layers", config.layers, kLayersMax}, {"d_model", config.d_model, kSideMax},
               {"heads", config.heads, kSideMax},     {"kv_heads", config.kv_heads, kSideMax},
               {"ffn", config.ffn, kSideMax},         {"context", config.context, kSideMax},
               {"vocab", config.vocab, kSideMax}};
  for (const auto& side : sides) {
    if (side.value == 0 || side.value > side.max) {
      return InvalidArgument("{} is {}, must be 1 to {}", side.name, side.value, side.max);
    }
  }
  if (config.d_model % config.heads != 0 || config.heads % config.kv_heads != 0) {
    return InvalidArgument(
        "{} wide with {} heads and {} key/value heads: each must divide the next", config.d_model,
        config.heads, config.kv_heads);
  }
  return absl::OkStatus();
}

// The fields that would make it another model than muster-train computes.
absl::Status RefuseWhatWeLack(const Json& json) {
  const auto is = [&](const char* key, const Json& wanted) {
    const auto found = json.find(key);
    return found == json.end() || found->is_null() || *found == wanted;
  };
  if (!json.contains("model_type") || json["model_type"] != "llama") {
    return InvalidArgument(
        "model_type is {}, only \"llama\" is read",
        json.contains("model_type") ? checkpoint::JsonText(json["model_type"]) : "missing");
  }
  if (!is("hidden_act", "silu")) return InvalidArgument("hidden_act is not \"silu\"");
  if (!is("attention_bias", false)) return InvalidArgument("attention_bias is not supported");
  if (!is("mlp_bias", false)) return InvalidArgument("mlp_bias is not supported");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) continue;
    if (!found->is_object()) return InvalidArgument("{} is no object", key);
    for (const char* type : {"rope_type", "type"}) {
      if (found->contains(type) && (*found)[type] != "default") {
        return InvalidArgument("{} {} is not supported, only plain rotary embedding", key,
                               checkpoint::JsonText((*found)[type]));
      }
    }
  }
  return absl::OkStatus();
}

// Beside the other numbers in older folders, in rope_parameters in newer ones.
absl::StatusOr<double> ThetaOf(const Json& json) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto inner = json.find(key);
    if (inner != json.end() && inner->is_object() && inner->contains("rope_theta")) {
      return PositiveField(*inner, "rope_theta");
    }
  }
  if (json.contains("rope_theta")) return PositiveField(json, "rope_theta");
  return kDefaultTheta;
}

absl::StatusOr<LlamaConfig> FromConfigJson(const Json& json) {
  if (!json.is_object()) return InvalidArgument("no object");
  MUSTER_RETURN_IF_ERROR(RefuseWhatWeLack(json));
  LlamaConfig config;
  MUSTER_ASSIGN_OR_RETURN(config.layers, U64Field(json, "num_hidden_layers"));
  MUSTER_ASSIGN_OR_RETURN(config.d_model, U64Field(json, "hidden_size"));
  MUSTER_ASSIGN_OR_RETURN(config.heads, U64Field(json, "num_attention_heads"));
  config.kv_heads = config.heads;
  if (json.contains("num_key_value_heads") && !json["num_key_value_heads"].is_null()) {
    MUSTER_ASSIGN_OR_RETURN(config.kv_heads, U64Field(json, "num_key_value_heads"));
  }
  MUSTER_ASSIGN_OR_RETURN(config.ffn, U64Field(json, "intermediate_size"));
  MUSTER_ASSIGN_OR_RETURN(config.context, U64Field(json, "max_position_embeddings"));
  MUSTER_ASSIGN_OR_RETURN(config.vocab, U64Field(json, "vocab_size"));
  MUSTER_ASSIGN_OR_RETURN(config.norm_eps, PositiveField(json, "rms_norm_eps"));
  MUSTER_ASSIGN_OR_RETURN(config.rope_theta, ThetaOf(json));
  if (const auto tied = json.find("tie_word_embeddings"); tied != json.end() && !tied->is_null()) {
    if (!tied->is_boolean()) return InvalidArgument("tie_word_embeddings is not true or false");
    config.tied = tied->get<bool>();
  }
  MUSTER_RETURN_IF_ERROR(CheckConfig(config));
  if (json.contains("head_dim") && !json["head_dim"].is_null()) {
    MUSTER_ASSIGN_OR_RETURN(const uint64_t head_dim, U64Field(json, "head_dim"));
    if (head_dim != config.d_model / config.heads) {
      return InvalidArgument("head_dim {} is not hidden_size / num_attention_heads = {}", head_dim,
                             config.d_model / config.heads);
    }
  }
  return config;
}

}  // namespace

std::vector<LlamaTensor> LlamaTensors(const LlamaConfig& config) {
  std::vector<LlamaTensor> tensors;
  const auto add = [&](std::string name, const std::vector<uint64_t>& shape) {
    tensors.push_back({std::move(name), shape, shape});
  };
  const uint64_t d = config.d_model;
  const uint64_t kv = d / config.heads * config.kv_heads;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    tensors.push_back({name, {config.vocab, d}, {config.padded_vocab(), d}});
  }
  add("model.norm.weight", {d});
  for (uint64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    add(prefix + "input_layernorm.weight", {d});
    add(prefix + "post_attention_layernorm.weight", {d});
    add(prefix + "self_attn.q_proj.weight", {d, d});
    add(prefix + "self_attn.k_proj.weight", {kv, d});
    add(prefix + "self_attn.v_proj.weight", {kv, d});
    add(prefix + "self_attn.o_proj.weight", {d, d});
    add(prefix + "mlp.gate_proj.weight", {config.ffn, d});
    add(prefix + "mlp.up_proj.weight", {config.ffn, d});
    add(prefix + "mlp.down_proj.weight", {d, config.ffn});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const LlamaTensor& a, const LlamaTensor& b) { return a.name < b.name; });
  return tensors;
}

absl::StatusOr<LlamaConfig> ParseModelJson(const std::string& text) {
  MUSTER_ASSIGN_OR_RETURN(const Json json, checkpoint::ParseJson(text, "model"));
  LlamaConfig config;
  const auto read = [&]() -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(config.layers, U64Field(json, "layers"));
    MUSTER_ASSIGN_OR_RETURN(config.d_model, U64Field(json, "d_model"));
    MUSTER_ASSIGN_OR_RETURN(config.heads, U64Field(json, "heads"));
    MUSTER_ASSIGN_OR_RETURN(config.kv_heads, U64Field(json, "kv_heads"));
    MUSTER_ASSIGN_OR_RETURN(config.ffn, U64Field(json, "ffn"));
    MUSTER_ASSIGN_OR_RETURN(config.context, U64Field(json, "context"));
    MUSTER_ASSIGN_OR_RETURN(config.vocab, U64Field(json, "vocab"));
    MUSTER_ASSIGN_OR_RETURN(config.rope_theta, PositiveField(json, "rope_theta"));
    MUSTER_ASSIGN_OR_RETURN(config.norm_eps, PositiveField(json, "norm_eps"));
    return CheckConfig(config);
  };
  const absl::Status status = read();
  if (status.ok()) return config;
  return DataLoss("the checkpoint does not hold a model of muster-train: {}",
                  std::string(status.message()));
}

std::string ModelJson(const LlamaConfig& config) {
  return checkpoint::JsonText({{"layers", config.layers},
                               {"d_model", config.d_model},
                               {"heads", config.heads},
                               {"kv_heads", config.kv_heads},
                               {"ffn", config.ffn},
                               {"context", config.context},
                               {"vocab", config.vocab},
                               {"rope_theta", config.rope_theta},
                               {"norm_eps", config.norm_eps}});
}

std::string ConfigJson(const LlamaConfig& config, std::string_view dtype, uint32_t end) {
  const nlohmann::ordered_json json = {{"architectures", {"LlamaForCausalLM"}},
                                       {"model_type", "llama"},
                                       {"vocab_size", config.vocab},
                                       {"hidden_size", config.d_model},
                                       {"intermediate_size", config.ffn},
                                       {"num_hidden_layers", config.layers},
                                       {"num_attention_heads", config.heads},
                                       {"num_key_value_heads", config.kv_heads},
                                       {"head_dim", config.d_model / config.heads},
                                       {"max_position_embeddings", config.context},
                                       {"hidden_act", "silu"},
                                       {"rms_norm_eps", config.norm_eps},
                                       {"rope_theta", config.rope_theta},
                                       {"rope_scaling", nullptr},
                                       {"attention_bias", false},
                                       {"attention_dropout", 0.0},
                                       {"mlp_bias", false},
                                       {"initializer_range", 0.02},
                                       {"tie_word_embeddings", false},
                                       {"bos_token_id", end},
                                       {"eos_token_id", end},
                                       {"use_cache", true},
                                       {"torch_dtype", dtype}};
  return json.dump(2) + "\n";
}

absl::StatusOr<LlamaConfig> ParseConfigJson(std::string_view text) {
  absl::StatusOr<Json> json = checkpoint::ParseJson(text, "config.json");
  if (!json.ok()) return InvalidArgument("{}", std::string(json.status().message()));
  absl::StatusOr<LlamaConfig> config = FromConfigJson(*json);
  if (config.ok()) return config;
  return InvalidArgument("config.json: {}", std::string(config.status().message()));
}

}  // namespace muster::interchange
