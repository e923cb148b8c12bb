#include "trainer/parallel/model_config.h"

#include "common/status.h"

namespace muster::trainer::parallel {

absl::Status CheckModel(const ModelConfig& config, int tensor_size) {
  const struct {
    const char* name;
    int value;
  } positive[] = {{"layers", config.layers}, {"d_model", config.d_model},
                  {"heads", config.heads},   {"kv_heads", config.kv_heads},
                  {"ffn", config.ffn},       {"context", config.context},
                  {"vocab", config.vocab},   {"mesh.tensor", tensor_size}};
  for (const auto& field : positive) {
    if (field.value < 1) {
      return InvalidArgument("check model: {} is {}; make it at least 1", field.name, field.value);
    }
  }
  if (!(config.rope_theta > 0) || !(config.norm_eps > 0)) {
    return InvalidArgument("check model: rope_theta {} and norm_eps {} must be above 0",
                           config.rope_theta, config.norm_eps);
  }
  if (config.d_model % config.heads != 0) {
    return InvalidArgument("check model: d_model {} is not divisible by heads {}", config.d_model,
                           config.heads);
  }
  // Multiples of 16 and 4 let q, k, v and gate, up lie without a gap (a multiple of 64 floats).
  if (config.d_model % 16 != 0 || config.head_dim() % 4 != 0) {
    return InvalidArgument(
        "check model: d_model {} must be a multiple of 16 and d_model / heads ({}) of 4",
        config.d_model, config.head_dim());
  }
  if (config.heads % config.kv_heads != 0) {
    return InvalidArgument("check model: heads {} is not divisible by kv_heads {}", config.heads,
                           config.kv_heads);
  }
  if (config.kv_heads < tensor_size) {
    return InvalidArgument(
        "check model: kv_heads {} is less than mesh.tensor {}; lower mesh.tensor to at most {}",
        config.kv_heads, tensor_size, config.kv_heads);
  }
  if (config.kv_heads % tensor_size != 0) {
    return InvalidArgument("check model: kv_heads {} is not divisible by mesh.tensor {}",
                           config.kv_heads, tensor_size);
  }
  if (config.ffn % (4 * tensor_size) != 0) {
    return InvalidArgument(
        "check model: ffn {} is not a multiple of {} (4 · mesh.tensor); take {} or {}", config.ffn,
        4 * tensor_size, config.ffn / (4 * tensor_size) * (4 * tensor_size),
        (config.ffn / (4 * tensor_size) + 1) * (4 * tensor_size));
  }
  if (config.context % tensor_size != 0) {
    return InvalidArgument("check model: context {} is not divisible by mesh.tensor {}",
                           config.context, tensor_size);
  }
  if (config.padded_vocab() % tensor_size != 0) {
    return InvalidArgument(
        "check model: vocab {} (padded to {}) is not divisible by mesh.tensor {}", config.vocab,
        config.padded_vocab(), tensor_size);
  }
  return absl::OkStatus();
}

int64_t ParameterCount(const ModelConfig& config) {
  const int64_t d = config.d_model;
  const int64_t kv = int64_t{config.kv_heads} * config.head_dim();
  const int64_t layer = 2 * d * d + 2 * kv * d + 3 * d * config.ffn + 2 * d;
  return 2 * d * config.padded_vocab() + config.layers * layer + d;
}

double FlopsPerToken(const ModelConfig& config) {
  const double d = config.d_model;
  const double in_products = static_cast<double>(ParameterCount(config)) -
                             d * config.padded_vocab();  // the embedding is a look-up
  return 6.0 * in_products + 6.0 * config.layers * d * config.context;
}

}  // namespace muster::trainer::parallel
