// The numbers that make a model: a decoder-only transformer in the Llama layout (RMSNorm, RoPE,
// SwiGLU, grouped-query attention, untied output projection; Touvron et al. 2023, arXiv:2302.13971,
// and for grouped queries arXiv:2305.13245).
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace muster::trainer::parallel {

struct ModelConfig {
  int layers = 0;
  int d_model = 0;
  int heads = 0;     // query heads
  int kv_heads = 0;  // key/value heads; each serves heads / kv_heads query heads
  int ffn = 0;       // width of the SwiGLU layer
  int context = 0;   // tokens in a training sequence
  int vocab = 0;     // tokens the tokenizer knows
  double rope_theta = 10000.0;
  double norm_eps = 1e-5;

  int head_dim() const { return d_model / heads; }
  // Rows of the embedding and of the output projection: `vocab` rounded up to a multiple of 64,
  // the same for every layout, so any layout loads any other. Rows beyond `vocab` get no
  // probability and no gradient.
  int padded_vocab() const { return (vocab + 63) / 64 * 64; }
};

// Whether `config` is a model at all, and whether `tensor_size` ranks can share it. One line that
// names the numbers and what to change.
absl::Status CheckModel(const ModelConfig& config, int tensor_size);

// Of the whole model, padding rows of the vocabulary included.
int64_t ParameterCount(const ModelConfig& config);

// Forward and backward, causal attention counted as the half it is (PaLM, arXiv:2204.02311,
// appendix B, with the causal half).
double FlopsPerToken(const ModelConfig& config);

}  // namespace muster::trainer::parallel
