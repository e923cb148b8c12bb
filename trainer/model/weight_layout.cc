#include "trainer/model/weight_layout.h"

#include <fmt/format.h>

#include <string>

#include "common/check.h"

namespace muster::trainer::model {
namespace {

// Where the first of `names` begins; they follow each other without a gap.
size_t Joined(const parallel::ParameterTable& table, const std::vector<std::string>& names) {
  const size_t begin = table.Find(names.front()).begin;
  size_t end = begin;
  for (const std::string& name : names) {
    const parallel::Parameter& parameter = table.Find(name);
    CHECK(parameter.begin == end, "gap of {} floats before {}", parameter.begin - end, name);
    end = parameter.begin + parameter.count;
  }
  return begin;
}

}  // namespace

WeightLayout::WeightLayout(const parallel::ModelConfig& config,
                           const parallel::ParameterTable& table)
    : embedding(table.Find("model.embed_tokens.weight").begin),
      final_norm(table.Find("model.norm.weight").begin),
      output(table.Find("lm_head.weight").begin) {
  for (int i = 0; i < config.layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    layers.push_back({
        .attention_norm = table.Find(prefix + "input_layernorm.weight").begin,
        .qkv = Joined(table, {attention + "q_proj.weight", attention + "k_proj.weight",
                              attention + "v_proj.weight"}),
        .attention_out = table.Find(attention + "o_proj.weight").begin,
        .mlp_norm = table.Find(prefix + "post_attention_layernorm.weight").begin,
        .gate_up = Joined(table, {mlp + "gate_proj.weight", mlp + "up_proj.weight"}),
        .down = table.Find(mlp + "down_proj.weight").begin,
    });
  }
  size_t end = 0;
  for (const parallel::Parameter& parameter : table.parameters) {
    if (parameter.begin > end) padding.push_back({end, parameter.begin});
    end = parameter.begin + parameter.count;
  }
  if (end < table.size) padding.push_back({end, table.size});
}

}  // namespace muster::trainer::model
