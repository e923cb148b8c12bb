// The transformer, forward and backward, for one rank of a tensor group.
//
// Parameters and gradients are flat buffers of the caller (parallel::ParameterTable), 64-byte
// aligned (AlignedFloats); the model owns the activations of one micro-batch. Between the
// tensor-parallel regions the tokens, not the features, are shared out (sequence parallelism,
// Korthikanti et al. 2022, arXiv:2205.05198): all-gather before, reduce-scatter after. The
// embedding, output projection and loss are shared out by vocabulary (Megatron-LM,
// arXiv:1909.08053). With tensor size 1 no collective is called.
//
// Same inputs and layout give the same bits. Other tensor sizes differ by rounding.
//
// Threads: one per rank; the matrix products use OMP_NUM_THREADS.
// Errors:  a collective's error is returned as it is; the model is then good for nothing but
//          destruction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/collective/collective.h"
#include "trainer/parallel/model_config.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::model {

struct TokenLoss {
  double sum = 0;     // nats, over the counted tokens; the same bits on every tensor rank
  int64_t count = 0;  // tokens whose target is not kNoTarget
};

inline constexpr int32_t kNoTarget = -1;

// Called when the gradients of a bucket will not change any more in this Backward: last bucket
// first, down to bucket 0. A good place for Collective::Progress and StartReduceScatter. An error
// ends Backward with it.
using OnBucketReady = std::function<absl::Status(int bucket)>;

class Model {
 public:
  // Room for `batch` sequences of config.context tokens. `tensor` is the tensor group, not owned;
  // null means a group of one. kInvalidArgument: the model or batch cannot be shared out so.
  static absl::StatusOr<std::unique_ptr<Model>> Create(const parallel::ModelConfig& config,
                                                       int batch, collective::Collective* tensor);
  virtual ~Model() = default;

  virtual const parallel::ModelConfig& config() const = 0;
  virtual const parallel::ParameterTable& table() const = 0;

  // tokens, targets: [batch, context] row-major, the same on every tensor rank; ids in
  // [0, vocab), a target may be kNoTarget. kInvalidArgument names the first bad id.
  virtual absl::StatusOr<TokenLoss> Forward(std::span<const float> params,
                                            std::span<const int32_t> tokens,
                                            std::span<const int32_t> targets) = 0;

  // Gradients of loss_scale × (the last Forward's TokenLoss::sum), once per Forward and with its
  // params. accumulate: += into `grads`, else overwrites (padding is set to zero). Gradients of
  // replicated parameters are already summed over the tensor group.
  virtual absl::Status Backward(std::span<const float> params, float loss_scale, bool accumulate,
                                std::span<float> grads, const OnBucketReady& on_ready) = 0;

  // Logits [vocab] for the token after `tokens` (1 to context of them), the same on every tensor
  // rank. Drops a pending Backward.
  virtual absl::StatusOr<std::vector<float>> Logits(std::span<const float> params,
                                                    std::span<const int32_t> tokens) = 0;
};

}  // namespace muster::trainer::model
