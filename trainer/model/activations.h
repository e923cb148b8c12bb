// What one micro-batch leaves behind between forward and backward, and the scratch both use.
//
// "All" arrays hold every row (token) of the micro-batch; "local" ones this rank's share of the
// rows, rows / tensor_size, in rank order. In a group of one they are the same rows, and every
// `…_all` gradient buffer is its local one. Row-major fp32 without gaps.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/kernels/cpu/attention.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::model {

// The widths of this rank's part of the model.
struct LocalWidths {
  LocalWidths(const parallel::ModelConfig& config, int tensor_size);

  int64_t d_model;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t qkv;        // (heads + 2 kv_heads) · head_dim
  int64_t attention;  // heads · head_dim
  int64_t ffn;
  int64_t vocab;  // padded, this rank's share
};

struct LayerActivations {
  using Floats = kernels::cpu::AlignedFloats;

  Floats in;                  // local [rows, d_model]: the residual stream before the layer
  Floats attention_inv_rms;   // local [rows]
  Floats attention_norm_all;  // [rows, d_model]
  Floats qkv;                 // [rows, qkv], after rope
  Floats attention;           // [rows, attention]
  Floats log_sum;             // [batch, heads, tokens]
  Floats middle;              // local [rows, d_model]: after attention
  Floats mlp_inv_rms;         // local [rows]
  Floats mlp_norm_all;        // [rows, d_model]
  Floats gate_up;             // [rows, 2 ffn]; backward turns it into its gradient
  Floats hidden;              // [rows, ffn]
};

struct Activations {
  using Floats = kernels::cpu::AlignedFloats;

  Activations(const LocalWidths& widths, int layers, int64_t batch, int64_t tokens,
              int tensor_size);

  std::vector<LayerActivations> layers;
  Floats last;            // local [rows, d_model]: the residual stream after all layers
  Floats last_inv_rms;    // local [rows]
  Floats last_norm_all;   // [rows, d_model]
  Floats logits;          // [rows, vocab]; then e^(logit - max); backward: its gradient
  Floats row_max;         // [rows]
  Floats row_sum_target;  // [2, rows]: sum of exponentials, target's logit

  Floats stream_gradient;  // local [rows, d_model]
  Floats branch_gradient;  // local [rows, d_model]
  Floats partial_all;      // [rows, d_model]; empty in a group of one
  Floats gathered_all;     // [rows, d_model]; empty in a group of one
  Floats wide_gradient;    // [rows, max(ffn, attention)]
  Floats qkv_gradient;     // [rows, qkv]
  Floats norm_gradient;    // [2, d_model]
  Floats attention_workspace;
};

}  // namespace muster::trainer::model
