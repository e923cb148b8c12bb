#include "trainer/loop/model_json.h"

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace muster::trainer::loop {

std::string ModelJson(const parallel::ModelConfig& config) {
  const nlohmann::json json = {
      {"layers", config.layers},     {"d_model", config.d_model},
      {"heads", config.heads},       {"kv_heads", config.kv_heads},
      {"ffn", config.ffn},           {"context", config.context},
      {"vocab", config.vocab},       {"rope_theta", config.rope_theta},
      {"norm_eps", config.norm_eps},
  };
  return json.dump();
}

absl::StatusOr<parallel::ModelConfig> ParseModelJson(const std::string& text) {
  parallel::ModelConfig config;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    config.layers = json.at("layers").get<int>();
    config.d_model = json.at("d_model").get<int>();
    config.heads = json.at("heads").get<int>();
    config.kv_heads = json.at("kv_heads").get<int>();
    config.ffn = json.at("ffn").get<int>();
    config.context = json.at("context").get<int>();
    config.vocab = json.at("vocab").get<int>();
    config.rope_theta = json.at("rope_theta").get<double>();
    config.norm_eps = json.at("norm_eps").get<double>();
  } catch (const nlohmann::json::exception& error) {
    return DataLoss(
        "the checkpoint does not say what model it holds: {}; it was not saved by "
        "muster-train",
        error.what());
  }
  MUSTER_RETURN_IF_ERROR(parallel::CheckModel(config, 1));
  return config;
}

}  // namespace muster::trainer::loop
