// Transformer's forward pass. Per layer (LLaMA, arXiv:2302.13971, section 2.2):
//   middle = in + attention(norm(in)),  out = middle + mlp(norm(middle)).
#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "common/status.h"
#include "trainer/kernels/cpu/attention.h"
#include "trainer/kernels/cpu/cross_entropy.h"
#include "trainer/kernels/cpu/embedding.h"
#include "trainer/kernels/cpu/gemm.h"
#include "trainer/kernels/cpu/rms_norm.h"
#include "trainer/kernels/cpu/swiglu.h"
#include "trainer/kernels/cpu/vector_ops.h"
#include "trainer/model/transformer.h"

namespace muster::trainer::model {

namespace cpu = kernels::cpu;

namespace {

// out [rows, n] = in [rows, k] · weight [n, k]ᵀ
void Project(int64_t rows, int64_t n, int64_t k, const float* in, const float* weight, float* out) {
  cpu::Gemm(cpu::Op::kPlain, cpu::Op::kTranspose, rows, n, k, 1.0f, in, k, weight, k, 0.0f, out, n);
}

}  // namespace

absl::StatusOr<TokenLoss> Transformer::Forward(std::span<const float> params,
                                               std::span<const int32_t> tokens,
                                               std::span<const int32_t> targets) {
  const Rows rows = RowsOf(batch_, config_.context);
  CHECK(params.size() == table_.size, "{} params for {}", params.size(), table_.size);
  CHECK(tokens.size() == static_cast<size_t>(rows.all) && targets.size() == tokens.size(),
        "{} tokens, {} targets for {} rows", tokens.size(), targets.size(), rows.all);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= config_.vocab || targets[i] >= config_.vocab) {
      return InvalidArgument(
          "forward: token {} with target {} at row {} is not in [0, {}); was the data prepared "
          "with another tokenizer?",
          tokens[i], targets[i], i, config_.vocab);
    }
  }
  backward_pending_ = false;
  tokens_.assign(tokens.begin(), tokens.end());
  targets_.assign(targets.begin(), targets.end());
  MUSTER_RETURN_IF_ERROR(ForwardLayers(params.data(), rows, tokens_.data()));
  Project(rows.all, widths_.vocab, widths_.d_model, act_.last_norm_all.data(),
          params.data() + weights_.output, act_.logits.data());
  MUSTER_ASSIGN_OR_RETURN(const TokenLoss loss, Loss(rows));
  backward_pending_ = true;
  return loss;
}

absl::Status Transformer::ForwardLayers(const float* params, const Rows& rows,
                                        const int32_t* tokens) {
  const std::span<float> first = Local(rows, act_.layers.front().in);
  const std::span<float> partial = PartialFor(rows, first);
  cpu::EmbeddingForward(params + weights_.embedding, widths_.vocab * group_.rank(), widths_.vocab,
                        tokens, rows.all, widths_.d_model, partial.data());
  MUSTER_RETURN_IF_ERROR(group_.SumAndScatter(partial, first));
  for (int layer = 0; layer < config_.layers; ++layer) {
    const bool is_last = layer + 1 == config_.layers;
    const size_t next = static_cast<size_t>(layer) + 1;
    MUSTER_RETURN_IF_ERROR(ForwardAttention(params, rows, layer));
    MUSTER_RETURN_IF_ERROR(
        ForwardMlp(params, rows, layer, Local(rows, is_last ? act_.last : act_.layers[next].in)));
  }
  return NormAndGather(rows, act_.last.data(), params + weights_.final_norm,
                       act_.last_inv_rms.data(), act_.last_norm_all);
}

absl::Status Transformer::NormAndGather(const Rows& rows, const float* in, const float* weight,
                                        float* inv_rms, const cpu::AlignedFloats& out_all) {
  const std::span<float> all = All(rows, out_all);
  float* own = all.data() + rows.local * widths_.d_model * group_.rank();
  cpu::RmsNormForward(in, weight, static_cast<float>(config_.norm_eps), rows.local, widths_.d_model,
                      own, inv_rms);
  return group_.Gather(all);
}

absl::Status Transformer::ForwardAttention(const float* params, const Rows& rows, int layer) {
  const WeightLayout::Layer& weights = weights_.layers[static_cast<size_t>(layer)];
  LayerActivations& act = act_.layers[static_cast<size_t>(layer)];
  MUSTER_RETURN_IF_ERROR(NormAndGather(rows, act.in.data(), params + weights.attention_norm,
                                       act.attention_inv_rms.data(), act.attention_norm_all));
  Project(rows.all, widths_.qkv, widths_.d_model, act.attention_norm_all.data(),
          params + weights.qkv, act.qkv.data());
  cpu::Rope(rope_, cpu::Turn::kForward, rows.all, widths_.heads + widths_.kv_heads, widths_.qkv,
            act.qkv.data());
  cpu::AttentionForward(Shape(rows), act.qkv.data(), act.attention.data(), act.log_sum.data(),
                        act_.attention_workspace.data());
  const std::span<float> out = Local(rows, act.middle);
  const std::span<float> partial = PartialFor(rows, out);
  Project(rows.all, widths_.d_model, widths_.attention, act.attention.data(),
          params + weights.attention_out, partial.data());
  MUSTER_RETURN_IF_ERROR(group_.SumAndScatter(partial, out));
  cpu::Add(act.in.data(), out.data(), out.data(), out.size());
  return absl::OkStatus();
}

absl::Status Transformer::ForwardMlp(const float* params, const Rows& rows, int layer,
                                     std::span<float> out) {
  const WeightLayout::Layer& weights = weights_.layers[static_cast<size_t>(layer)];
  LayerActivations& act = act_.layers[static_cast<size_t>(layer)];
  MUSTER_RETURN_IF_ERROR(NormAndGather(rows, act.middle.data(), params + weights.mlp_norm,
                                       act.mlp_inv_rms.data(), act.mlp_norm_all));
  Project(rows.all, 2 * widths_.ffn, widths_.d_model, act.mlp_norm_all.data(),
          params + weights.gate_up, act.gate_up.data());
  cpu::SwigluForward(act.gate_up.data(), rows.all, widths_.ffn, act.hidden.data());
  const std::span<float> partial = PartialFor(rows, out);
  Project(rows.all, widths_.d_model, widths_.ffn, act.hidden.data(), params + weights.down,
          partial.data());
  MUSTER_RETURN_IF_ERROR(group_.SumAndScatter(partial, out));
  cpu::Add(act.middle.data(), out.data(), out.data(), out.size());
  return absl::OkStatus();
}

absl::StatusOr<TokenLoss> Transformer::Loss(const Rows& rows) {
  const int64_t first = widths_.vocab * group_.rank();
  const int64_t held = std::clamp<int64_t>(config_.vocab - first, 0, widths_.vocab);
  float* sum = act_.row_sum_target.data();
  float* target_logit = sum + rows.all;
  cpu::RowMax(act_.logits.data(), rows.all, held, widths_.vocab, act_.row_max.data());
  MUSTER_RETURN_IF_ERROR(group_.Max(act_.row_max.span()));
  cpu::SumExp(act_.row_max.data(), targets_.data(), first, rows.all, held, widths_.vocab,
              act_.logits.data(), sum, target_logit);
  MUSTER_RETURN_IF_ERROR(group_.Sum(act_.row_sum_target.span()));
  TokenLoss loss;
  for (int64_t row = 0; row < rows.all; ++row) {
    if (targets_[static_cast<size_t>(row)] < 0) continue;
    loss.sum += std::log(static_cast<double>(sum[row])) +
                static_cast<double>(act_.row_max.data()[row]) -
                static_cast<double>(target_logit[row]);
    ++loss.count;
  }
  return loss;
}

}  // namespace muster::trainer::model
