#include "trainer/parallel/parameter_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::parallel {
namespace {

constexpr int kWhole = -1;

size_t RoundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Appends parameters one after the other and closes buckets.
class TableBuilder {
 public:
  TableBuilder(int tensor_rank, int tensor_size) {
    table_.tensor_rank = tensor_rank;
    table_.tensor_size = tensor_size;
  }

  void Add(std::string name, std::vector<int64_t> shape, int split_dim) {
    Parameter parameter;
    parameter.name = std::move(name);
    parameter.local_shape = shape;
    parameter.decay = shape.size() > 1;
    parameter.split_dim = split_dim;
    if (split_dim != kWhole) {
      int64_t& extent = parameter.local_shape[static_cast<size_t>(split_dim)];
      CHECK(extent % table_.tensor_size == 0, "{}: {} over {} ranks", parameter.name, extent,
            table_.tensor_size);
      extent /= table_.tensor_size;
      parameter.split_offset = extent * table_.tensor_rank;
    }
    parameter.global_shape = std::move(shape);
    parameter.count = 1;
    for (int64_t extent : parameter.local_shape) parameter.count *= static_cast<size_t>(extent);
    parameter.begin = RoundUp(table_.size, kParameterAlignment);
    parameter.bucket = static_cast<int>(table_.buckets.size());
    table_.size = parameter.begin + parameter.count;
    table_.parameters.push_back(std::move(parameter));
  }

  void CloseBucket() {
    const size_t begin = table_.buckets.empty() ? 0 : table_.buckets.back().end;
    table_.size = RoundUp(table_.size, kBlock);
    table_.buckets.push_back({begin, table_.size});
  }

  ParameterTable Take() { return std::move(table_); }

 private:
  ParameterTable table_;
};

}  // namespace

Interval Intersect(Interval a, Interval b) {
  const size_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

const Parameter& ParameterTable::Find(std::string_view name) const {
  for (const Parameter& parameter : parameters) {
    if (parameter.name == name) return parameter;
  }
  CHECK(false, "no parameter {}", name);
}

absl::StatusOr<ParameterTable> MakeParameterTable(const ModelConfig& config, int tensor_rank,
                                                  int tensor_size) {
  MUSTER_RETURN_IF_ERROR(CheckModel(config, tensor_size));
  if (tensor_rank < 0 || tensor_rank >= tensor_size) {
    return InvalidArgument("make parameter table: tensor rank {} of {}", tensor_rank, tensor_size);
  }
  const int64_t d = config.d_model;
  const int64_t kv = int64_t{config.kv_heads} * config.head_dim();
  const int64_t ffn = config.ffn;
  const int64_t vocab = config.padded_vocab();

  TableBuilder builder(tensor_rank, tensor_size);
  builder.Add("model.embed_tokens.weight", {vocab, d}, 0);
  builder.CloseBucket();
  for (int layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    builder.Add(prefix + "input_layernorm.weight", {d}, kWhole);
    builder.Add(prefix + "self_attn.q_proj.weight", {d, d}, 0);
    builder.Add(prefix + "self_attn.k_proj.weight", {kv, d}, 0);
    builder.Add(prefix + "self_attn.v_proj.weight", {kv, d}, 0);
    builder.Add(prefix + "self_attn.o_proj.weight", {d, d}, 1);
    builder.Add(prefix + "post_attention_layernorm.weight", {d}, kWhole);
    builder.Add(prefix + "mlp.gate_proj.weight", {ffn, d}, 0);
    builder.Add(prefix + "mlp.up_proj.weight", {ffn, d}, 0);
    builder.Add(prefix + "mlp.down_proj.weight", {d, ffn}, 1);
    builder.CloseBucket();
  }
  builder.Add("model.norm.weight", {d}, kWhole);
  builder.Add("lm_head.weight", {vocab, d}, 0);
  builder.CloseBucket();
  return builder.Take();
}

}  // namespace muster::trainer::parallel
