// Where the model finds each weight in the flat buffer, with the matrices that are multiplied
// together taken as one.
#pragma once

#include <cstddef>
#include <vector>

#include "trainer/parallel/model_config.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::model {

struct WeightLayout {
  struct Layer {
    size_t attention_norm;  // [d_model]
    size_t qkv;             // [qkv_width, d_model]: q, k, v
    size_t attention_out;   // [d_model, attention_width]
    size_t mlp_norm;        // [d_model]
    size_t gate_up;         // [2 · ffn_width, d_model]: gate, up
    size_t down;            // [d_model, ffn_width]
  };
  WeightLayout(const parallel::ModelConfig& config, const parallel::ParameterTable& table);

  size_t embedding;  // [vocab_held, d_model]
  std::vector<Layer> layers;
  size_t final_norm;                        // [d_model]
  size_t output;                            // [vocab_held, d_model]
  std::vector<parallel::Interval> padding;  // belongs to no parameter
};

}  // namespace muster::trainer::model
