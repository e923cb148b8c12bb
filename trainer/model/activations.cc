#include "trainer/model/activations.h"

#include <algorithm>

namespace muster::trainer::model {

LocalWidths::LocalWidths(const parallel::ModelConfig& config, int tensor_size)
    : d_model(config.d_model),
      heads(config.heads / tensor_size),
      kv_heads(config.kv_heads / tensor_size),
      head_dim(config.head_dim()),
      qkv((heads + 2 * kv_heads) * head_dim),
      attention(heads * head_dim),
      ffn(config.ffn / tensor_size),
      vocab(config.padded_vocab() / tensor_size) {}

Activations::Activations(const LocalWidths& widths, int layer_count, int64_t batch, int64_t tokens,
                         int tensor_size) {
  const int64_t rows = batch * tokens;
  const int64_t local = rows / tensor_size;
  const int64_t d = widths.d_model;
  const auto floats = [](int64_t count) { return Floats(static_cast<size_t>(count)); };
  for (int i = 0; i < layer_count; ++i) {
    layers.push_back({
        .in = floats(local * d),
        .attention_inv_rms = floats(local),
        .attention_norm_all = floats(rows * d),
        .qkv = floats(rows * widths.qkv),
        .attention = floats(rows * widths.attention),
        .log_sum = floats(batch * widths.heads * tokens),
        .middle = floats(local * d),
        .mlp_inv_rms = floats(local),
        .mlp_norm_all = floats(rows * d),
        .gate_up = floats(rows * 2 * widths.ffn),
        .hidden = floats(rows * widths.ffn),
    });
  }
  last = floats(local * d);
  last_inv_rms = floats(local);
  last_norm_all = floats(rows * d);
  logits = floats(rows * widths.vocab);
  row_max = floats(rows);
  row_sum_target = floats(2 * rows);
  stream_gradient = floats(local * d);
  branch_gradient = floats(local * d);
  if (tensor_size > 1) {
    partial_all = floats(rows * d);
    gathered_all = floats(rows * d);
  }
  wide_gradient = floats(rows * std::max(widths.ffn, widths.attention));
  qkv_gradient = floats(rows * widths.qkv);
  norm_gradient = floats(2 * d);
  const kernels::cpu::AttentionShape shape{batch, tokens, widths.heads, widths.kv_heads,
                                           widths.head_dim};
  attention_workspace = Floats(shape.workspace());
}

}  // namespace muster::trainer::model
