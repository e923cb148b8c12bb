// Model on the CPU kernels. Contract: model.h.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "trainer/kernels/cpu/rope.h"
#include "trainer/model/activations.h"
#include "trainer/model/model.h"
#include "trainer/model/tensor_group.h"
#include "trainer/model/weight_layout.h"

namespace muster::trainer::model {

class Transformer final : public Model {
 public:
  Transformer(const parallel::ModelConfig& config, parallel::ParameterTable table, int batch,
              collective::Collective* tensor);

  const parallel::ModelConfig& config() const override { return config_; }
  const parallel::ParameterTable& table() const override { return table_; }
  absl::StatusOr<TokenLoss> Forward(std::span<const float> params, std::span<const int32_t> tokens,
                                    std::span<const int32_t> targets) override;
  absl::Status Backward(std::span<const float> params, float loss_scale, bool accumulate,
                        std::span<float> grads, const OnBucketReady& on_ready) override;
  absl::StatusOr<std::vector<float>> Logits(std::span<const float> params,
                                            std::span<const int32_t> tokens) override;

 private:
  // Rows of one pass: a micro-batch, or one sequence for Logits.
  struct Rows {
    int64_t batch;
    int64_t tokens;
    int64_t all;    // batch · tokens
    int64_t local;  // this rank's
  };
  Rows RowsOf(int64_t batch, int64_t tokens) const;
  kernels::cpu::AttentionShape Shape(const Rows& rows) const;

  // Rows of an array of `width`-wide rows.
  std::span<float> All(const Rows& rows, const kernels::cpu::AlignedFloats& array) const;
  std::span<float> Local(const Rows& rows, const kernels::cpu::AlignedFloats& array) const;

  // The memory a branch's partial sums go to before SumAndScatter puts them into `local`.
  std::span<float> PartialFor(const Rows& rows, std::span<float> local) const;
  // Everyone's rows of a local [rows, d_model] array.
  absl::StatusOr<const float*> GatherRows(const Rows& rows, std::span<float> local);

  // forward.cc: embedding to the last norm, its output in last_norm_all.
  absl::Status ForwardLayers(const float* params, const Rows& rows, const int32_t* tokens);
  absl::Status ForwardAttention(const float* params, const Rows& rows, int layer);
  absl::Status ForwardMlp(const float* params, const Rows& rows, int layer, std::span<float> out);
  absl::Status NormAndGather(const Rows& rows, const float* in, const float* weight, float* inv_rms,
                             const kernels::cpu::AlignedFloats& out_all);
  absl::StatusOr<TokenLoss> Loss(const Rows& rows);

  // backward.cc
  absl::Status BackwardOutput(const float* params, const Rows& rows, float beta, float* grads);
  absl::Status BackwardMlp(const float* params, const Rows& rows, int layer, float beta,
                           float* grads);
  absl::Status BackwardAttention(const float* params, const Rows& rows, int layer, float beta,
                                 float* grads);
  absl::Status BackwardEmbedding(const Rows& rows, bool accumulate, float* grads);
  absl::Status BackwardBranch(const Rows& rows, const float* gradient, int64_t width,
                              const float* weight);
  absl::Status AddNormGradients(int norms, const size_t* offsets, bool accumulate, float* grads);

  const parallel::ModelConfig config_;
  const parallel::ParameterTable table_;
  const int batch_;
  TensorGroup group_;
  const LocalWidths widths_;
  const WeightLayout weights_;
  const kernels::cpu::RopeTable rope_;
  Activations act_;
  std::vector<int32_t> tokens_;  // of the pending Backward
  std::vector<int32_t> targets_;
  bool backward_pending_ = false;
};

}  // namespace muster::trainer::model
