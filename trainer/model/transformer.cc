#include "trainer/model/transformer.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "trainer/kernels/cpu/gemm.h"

namespace muster::trainer::model {

namespace cpu = kernels::cpu;

absl::StatusOr<std::unique_ptr<Model>> Model::Create(const parallel::ModelConfig& config, int batch,
                                                     collective::Collective* tensor) {
  if (batch < 1) {
    return InvalidArgument("create model: batch.micro is {}; make it at least 1", batch);
  }
  const TensorGroup group(tensor);
  MUSTER_ASSIGN_OR_RETURN(parallel::ParameterTable table,
                          parallel::MakeParameterTable(config, group.rank(), group.size()));
  return std::make_unique<Transformer>(config, std::move(table), batch, tensor);
}

Transformer::Transformer(const parallel::ModelConfig& config, parallel::ParameterTable table,
                         int batch, collective::Collective* tensor)
    : config_(config),
      table_(std::move(table)),
      batch_(batch),
      group_(tensor),
      widths_(config_, group_.size()),
      weights_(config_, table_),
      rope_(config_.context, config_.head_dim(), config_.rope_theta),
      act_(widths_, config_.layers, batch_, config_.context, group_.size()) {}

Transformer::Rows Transformer::RowsOf(int64_t batch, int64_t tokens) const {
  const int64_t all = batch * tokens;
  CHECK(all % group_.size() == 0, "{} rows over {} tensor ranks", all, group_.size());
  return {batch, tokens, all, all / group_.size()};
}

cpu::AttentionShape Transformer::Shape(const Rows& rows) const {
  return {rows.batch, rows.tokens, widths_.heads, widths_.kv_heads, widths_.head_dim};
}

std::span<float> Transformer::All(const Rows& rows, const cpu::AlignedFloats& array) const {
  return array.span().first(static_cast<size_t>(rows.all * widths_.d_model));
}

std::span<float> Transformer::Local(const Rows& rows, const cpu::AlignedFloats& array) const {
  return array.span().first(static_cast<size_t>(rows.local * widths_.d_model));
}

std::span<float> Transformer::PartialFor(const Rows& rows, std::span<float> local) const {
  return group_.size() == 1 ? local : All(rows, act_.partial_all);
}

absl::StatusOr<const float*> Transformer::GatherRows(const Rows& rows, std::span<float> local) {
  if (group_.size() == 1) return local.data();
  const std::span<float> all = All(rows, act_.gathered_all);
  std::copy(local.begin(), local.end(),
            all.begin() + static_cast<std::ptrdiff_t>(local.size()) * group_.rank());
  MUSTER_RETURN_IF_ERROR(group_.Gather(all));
  return all.data();
}

absl::StatusOr<std::vector<float>> Transformer::Logits(std::span<const float> params,
                                                       std::span<const int32_t> tokens) {
  CHECK(params.size() == table_.size, "{} params for {}", params.size(), table_.size);
  const int64_t count = static_cast<int64_t>(tokens.size());
  if (count < 1 || count > config_.context) {
    return InvalidArgument("logits: {} tokens; the model takes 1 to {}", count, config_.context);
  }
  backward_pending_ = false;
  // Tokens after the last one change nothing before them: attention is causal.
  std::vector<int32_t> padded(tokens.begin(), tokens.end());
  while (padded.size() % static_cast<size_t>(group_.size()) != 0) padded.push_back(0);
  for (int32_t token : padded) {
    if (token < 0 || token >= config_.vocab) {
      return InvalidArgument("logits: token {} is not in [0, {})", token, config_.vocab);
    }
  }
  const Rows rows = RowsOf(1, static_cast<int64_t>(padded.size()));
  MUSTER_RETURN_IF_ERROR(ForwardLayers(params.data(), rows, padded.data()));
  std::vector<float> logits(static_cast<size_t>(config_.padded_vocab()));
  cpu::Gemm(cpu::Op::kPlain, cpu::Op::kTranspose, 1, widths_.vocab, widths_.d_model, 1.0f,
            act_.last_norm_all.data() + (count - 1) * widths_.d_model, widths_.d_model,
            params.data() + weights_.output, widths_.d_model, 0.0f,
            logits.data() + group_.rank() * widths_.vocab, widths_.vocab);
  MUSTER_RETURN_IF_ERROR(group_.Gather(logits));
  logits.resize(static_cast<size_t>(config_.vocab));
  return logits;
}

}  // namespace muster::trainer::model
