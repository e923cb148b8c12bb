// Transformer's backward pass: forward.cc read from the end. `beta` is 1 where gradients
// accumulate and 0 where they overwrite.
#include <algorithm>

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

// din [rows, k] = dout [rows, n] · weight [n, k]
void ProjectBack(int64_t rows, int64_t n, int64_t k, const float* dout, const float* weight,
                 float* din) {
  cpu::Gemm(cpu::Op::kPlain, cpu::Op::kPlain, rows, k, n, 1.0f, dout, n, weight, k, 0.0f, din, k);
}

// dweight [n, k] = dout [rows, n]ᵀ · in [rows, k] + beta · dweight
void WeightGradient(int64_t rows, int64_t n, int64_t k, const float* dout, const float* in,
                    float beta, float* dweight) {
  cpu::Gemm(cpu::Op::kTranspose, cpu::Op::kPlain, n, k, rows, 1.0f, dout, n, in, k, beta, dweight,
            k);
}

}  // namespace

absl::Status Transformer::Backward(std::span<const float> params, float loss_scale, bool accumulate,
                                   std::span<float> grads, const OnBucketReady& on_ready) {
  CHECK(backward_pending_, "Backward without Forward");
  CHECK(params.size() == table_.size && grads.size() == table_.size, "{} params, {} grads for {}",
        params.size(), grads.size(), table_.size);
  backward_pending_ = false;
  const Rows rows = RowsOf(batch_, config_.context);
  const float beta = accumulate ? 1.0f : 0.0f;
  if (!accumulate) {
    for (const parallel::Interval& gap : weights_.padding) {
      cpu::Fill(0.0f, grads.data() + gap.begin, gap.count());
    }
  }
  const int64_t first = widths_.vocab * group_.rank();
  const int64_t held = std::clamp<int64_t>(config_.vocab - first, 0, widths_.vocab);
  cpu::CrossEntropyBackward(act_.row_sum_target.data(), targets_.data(), loss_scale, first,
                            rows.all, held, widths_.vocab, act_.logits.data());
  MUSTER_RETURN_IF_ERROR(BackwardOutput(params.data(), rows, beta, grads.data()));
  MUSTER_RETURN_IF_ERROR(on_ready(config_.layers + 1));
  for (int layer = config_.layers - 1; layer >= 0; --layer) {
    const WeightLayout::Layer& weights = weights_.layers[static_cast<size_t>(layer)];
    cpu::Fill(0.0f, act_.norm_gradient.data(), act_.norm_gradient.size());
    MUSTER_RETURN_IF_ERROR(BackwardMlp(params.data(), rows, layer, beta, grads.data()));
    MUSTER_RETURN_IF_ERROR(BackwardAttention(params.data(), rows, layer, beta, grads.data()));
    const size_t norms[] = {weights.attention_norm, weights.mlp_norm};
    MUSTER_RETURN_IF_ERROR(AddNormGradients(2, norms, accumulate, grads.data()));
    MUSTER_RETURN_IF_ERROR(on_ready(layer + 1));
  }
  MUSTER_RETURN_IF_ERROR(BackwardEmbedding(rows, accumulate, grads.data()));
  return on_ready(0);
}

absl::Status Transformer::AddNormGradients(int norms, const size_t* offsets, bool accumulate,
                                           float* grads) {
  const size_t d = static_cast<size_t>(widths_.d_model);
  const float* sum = act_.norm_gradient.data();
  MUSTER_RETURN_IF_ERROR(
      group_.Sum(act_.norm_gradient.span().first(d * static_cast<size_t>(norms))));
  for (int i = 0; i < norms; ++i, sum += d) {
    float* gradient = grads + offsets[i];
    if (!accumulate) cpu::Fill(0.0f, gradient, d);
    cpu::Add(gradient, sum, gradient, d);
  }
  return absl::OkStatus();
}

// Through weight [width, d_model] into branch_gradient.
absl::Status Transformer::BackwardBranch(const Rows& rows, const float* gradient, int64_t width,
                                         const float* weight) {
  const std::span<float> branch = Local(rows, act_.branch_gradient);
  const std::span<float> partial = PartialFor(rows, branch);
  ProjectBack(rows.all, width, widths_.d_model, gradient, weight, partial.data());
  return group_.SumAndScatter(partial, branch);
}

absl::Status Transformer::BackwardOutput(const float* params, const Rows& rows, float beta,
                                         float* grads) {
  WeightGradient(rows.all, widths_.vocab, widths_.d_model, act_.logits.data(),
                 act_.last_norm_all.data(), beta, grads + weights_.output);
  MUSTER_RETURN_IF_ERROR(
      BackwardBranch(rows, act_.logits.data(), widths_.vocab, params + weights_.output));
  cpu::Fill(0.0f, act_.norm_gradient.data(), act_.norm_gradient.size());
  cpu::Fill(0.0f, act_.stream_gradient.data(), act_.stream_gradient.size());
  cpu::RmsNormBackward(act_.branch_gradient.data(), act_.last.data(), params + weights_.final_norm,
                       act_.last_inv_rms.data(), rows.local, widths_.d_model,
                       act_.stream_gradient.data(), act_.norm_gradient.data());
  return AddNormGradients(1, &weights_.final_norm, beta != 0.0f, grads);
}

absl::Status Transformer::BackwardMlp(const float* params, const Rows& rows, int layer, float beta,
                                      float* grads) {
  const WeightLayout::Layer& weights = weights_.layers[static_cast<size_t>(layer)];
  LayerActivations& act = act_.layers[static_cast<size_t>(layer)];
  MUSTER_ASSIGN_OR_RETURN(const float* dout, GatherRows(rows, Local(rows, act_.stream_gradient)));
  WeightGradient(rows.all, widths_.d_model, widths_.ffn, dout, act.hidden.data(), beta,
                 grads + weights.down);
  ProjectBack(rows.all, widths_.d_model, widths_.ffn, dout, params + weights.down,
              act_.wide_gradient.data());
  cpu::SwigluBackward(act_.wide_gradient.data(), rows.all, widths_.ffn, act.gate_up.data());
  WeightGradient(rows.all, 2 * widths_.ffn, widths_.d_model, act.gate_up.data(),
                 act.mlp_norm_all.data(), beta, grads + weights.gate_up);
  MUSTER_RETURN_IF_ERROR(
      BackwardBranch(rows, act.gate_up.data(), 2 * widths_.ffn, params + weights.gate_up));
  cpu::RmsNormBackward(act_.branch_gradient.data(), act.middle.data(), params + weights.mlp_norm,
                       act.mlp_inv_rms.data(), rows.local, widths_.d_model,
                       act_.stream_gradient.data(), act_.norm_gradient.data() + widths_.d_model);
  return absl::OkStatus();
}

absl::Status Transformer::BackwardAttention(const float* params, const Rows& rows, int layer,
                                            float beta, float* grads) {
  const WeightLayout::Layer& weights = weights_.layers[static_cast<size_t>(layer)];
  LayerActivations& act = act_.layers[static_cast<size_t>(layer)];
  float* dqkv = act_.qkv_gradient.data();
  MUSTER_ASSIGN_OR_RETURN(const float* dout, GatherRows(rows, Local(rows, act_.stream_gradient)));
  WeightGradient(rows.all, widths_.d_model, widths_.attention, dout, act.attention.data(), beta,
                 grads + weights.attention_out);
  ProjectBack(rows.all, widths_.d_model, widths_.attention, dout, params + weights.attention_out,
              act_.wide_gradient.data());
  cpu::AttentionBackward(Shape(rows), act.qkv.data(), act.attention.data(), act.log_sum.data(),
                         act_.wide_gradient.data(), dqkv, act_.attention_workspace.data());
  cpu::Rope(rope_, cpu::Turn::kBackward, rows.all, widths_.heads + widths_.kv_heads, widths_.qkv,
            dqkv);
  WeightGradient(rows.all, widths_.qkv, widths_.d_model, dqkv, act.attention_norm_all.data(), beta,
                 grads + weights.qkv);
  MUSTER_RETURN_IF_ERROR(BackwardBranch(rows, dqkv, widths_.qkv, params + weights.qkv));
  cpu::RmsNormBackward(act_.branch_gradient.data(), act.in.data(), params + weights.attention_norm,
                       act.attention_inv_rms.data(), rows.local, widths_.d_model,
                       act_.stream_gradient.data(), act_.norm_gradient.data());
  return absl::OkStatus();
}

absl::Status Transformer::BackwardEmbedding(const Rows& rows, bool accumulate, float* grads) {
  MUSTER_ASSIGN_OR_RETURN(const float* dout, GatherRows(rows, Local(rows, act_.stream_gradient)));
  float* gradient = grads + weights_.embedding;
  if (!accumulate) {
    cpu::Fill(0.0f, gradient, static_cast<size_t>(widths_.vocab * widths_.d_model));
  }
  cpu::EmbeddingBackward(dout, widths_.vocab * group_.rank(), widths_.vocab, tokens_.data(),
                         rows.all, widths_.d_model, gradient);
  return absl::OkStatus();
}

}  // namespace muster::trainer::model
