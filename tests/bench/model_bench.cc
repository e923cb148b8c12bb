// Tokens per second of one rank's training step (forward and backward, no optimizer), beside its
// floor: the same matrix products with nothing between them. And what it costs to note a
// collective.
//
// usage: model_bench [--seconds S]     one thread unless OMP_NUM_THREADS says otherwise
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "common/check.h"
#include "tests/bench/ring_cost.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/kernels/cpu/flush_denormals.h"
#include "trainer/kernels/cpu/gemm.h"
#include "trainer/model/init.h"
#include "trainer/model/model.h"

namespace muster::trainer::model {
namespace {

using kernels::cpu::AlignedFloats;
using kernels::cpu::Gemm;
using kernels::cpu::Op;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Memory for the operands of the floor, handed out round and round, so that the products find their
// inputs as cold as the model does.
class Pool {
 public:
  explicit Pool(size_t floats) : floats_(floats) {
    for (size_t i = 0; i < floats; ++i) {
      floats_.data()[i] = static_cast<float>(i % 1000) * 1e-3f - 0.5f;
    }
  }
  float* Take(int64_t count) {
    if (next_ + static_cast<size_t>(count) > floats_.size()) next_ = 0;
    float* taken = floats_.data() + next_;
    next_ += (static_cast<size_t>(count) + 63) / 64 * 64;
    return taken;
  }

 private:
  AlignedFloats floats_;
  size_t next_ = 0;
};

// y = x wᵀ, dx = dy w, dw = dyᵀ x
void LinearProducts(Pool& pool, int64_t rows, int64_t n, int64_t k) {
  float* x = pool.Take(rows * k);
  float* w = pool.Take(n * k);
  float* y = pool.Take(rows * n);
  Gemm(Op::kPlain, Op::kTranspose, rows, n, k, 1.0f, x, k, w, k, 0.0f, y, n);
  float* dx = pool.Take(rows * k);
  float* dw = pool.Take(n * k);
  Gemm(Op::kTranspose, Op::kPlain, n, k, rows, 1.0f, y, n, x, k, 0.0f, dw, k);
  Gemm(Op::kPlain, Op::kPlain, rows, k, n, 1.0f, y, n, w, k, 0.0f, dx, k);
}

// Two products forward and five backward for each head, on the causal half in blocks of 64 queries.
void AttentionProducts(Pool& pool, const parallel::ModelConfig& config, int64_t batch) {
  constexpr int64_t kBlock = 64;
  const int64_t dim = config.head_dim();
  const int64_t stride = (config.heads + 2 * config.kv_heads) * dim;
  const int64_t out_stride = config.d_model;
  const float* qkv = pool.Take(batch * config.context * stride);
  float* dqkv = pool.Take(batch * config.context * stride);
  float* out = pool.Take(batch * config.context * out_stride);
  float* p = pool.Take(kBlock * config.context);
  float* dp = pool.Take(kBlock * config.context);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t head = 0; head < config.heads; ++head) {
      const int64_t at = b * config.context * stride + head * dim;
      float* y = out + b * config.context * out_stride + head * dim;
      for (int64_t from = 0; from < config.context; from += kBlock) {
        const int64_t rows = std::min<int64_t>(kBlock, config.context - from);
        const int64_t keys = from + rows;
        for (float* s : {p, p, dp}) {  // scores, scores again, their gradient
          Gemm(Op::kPlain, Op::kTranspose, rows, keys, dim, 1.0f, qkv + at + from * stride, stride,
               qkv + at, stride, 0.0f, s, keys);
        }
        Gemm(Op::kPlain, Op::kPlain, rows, dim, keys, 1.0f, p, keys, qkv + at, stride, 0.0f,
             y + from * out_stride, out_stride);
        for (const float* s : {p, dp}) {
          Gemm(Op::kTranspose, Op::kPlain, keys, dim, rows, 1.0f, s, keys, y + from * out_stride,
               out_stride, 1.0f, dqkv + at, stride);
        }
        Gemm(Op::kPlain, Op::kPlain, rows, dim, keys, 1.0f, dp, keys, qkv + at, stride, 0.0f,
             dqkv + at + from * stride, stride);
      }
    }
  }
}

void StepProducts(Pool& pool, const parallel::ModelConfig& config, int64_t batch) {
  const int64_t rows = batch * config.context;
  for (int layer = 0; layer < config.layers; ++layer) {
    LinearProducts(pool, rows, int64_t{config.heads + 2 * config.kv_heads} * config.head_dim(),
                   config.d_model);
    AttentionProducts(pool, config, batch);
    LinearProducts(pool, rows, config.d_model, config.d_model);
    LinearProducts(pool, rows, int64_t{2} * config.ffn, config.d_model);
    LinearProducts(pool, rows, config.d_model, config.ffn);
  }
  LinearProducts(pool, rows, config.padded_vocab(), config.d_model);
}

struct Times {
  double step = 1e9;
  double floor = 1e9;
};

// The least of many turns, step and floor by turns, so that a busy neighbour hurts neither more.
Times Measure(const parallel::ModelConfig& config, int batch, double seconds) {
  auto model = Model::Create(config, batch, nullptr);
  CHECK(model.ok(), "{}", model.status().ToString());
  const size_t size = (*model)->table().size;
  AlignedFloats params(size);
  AlignedFloats grads(size);
  InitParameters(config, (*model)->table(), 1, params.span());
  std::vector<int32_t> tokens, targets;
  for (int i = 0; i < batch * config.context; ++i) {
    tokens.push_back(static_cast<int32_t>(i * 7919LL % config.vocab));
    targets.push_back(static_cast<int32_t>(i * 104729LL % config.vocab));
  }
  Pool pool(size_t{48} << 20);
  Times best;
  const double end = Seconds() + seconds;
  for (int turn = 0; turn < 3 || Seconds() < end; ++turn) {
    const double start = Seconds();
    const auto loss = (*model)->Forward(params.span(), tokens, targets);
    CHECK(loss.ok(), "{}", loss.status().ToString());
    const auto status = (*model)->Backward(params.span(), 1e-3f, true, grads.span(),
                                           [](int) { return absl::OkStatus(); });
    CHECK(status.ok(), "{}", status.ToString());
    const double middle = Seconds();
    StepProducts(pool, config, batch);
    best.step = std::min(best.step, middle - start);
    best.floor = std::min(best.floor, Seconds() - middle);
  }
  return best;
}

int Main(int argc, char** argv) {
  double seconds = 4;
  if (argc == 3 && std::string_view(argv[1]) == "--seconds") {
    seconds = std::atof(argv[2]);
  } else if (argc != 1) {
    fmt::print(stderr, "usage: model_bench [--seconds S]\n");
    return 2;
  }
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);  // OpenMP has read it before main
  }
  kernels::cpu::FlushDenormals();
  fmt::print("{:<42} {:>10} {:>9} {:>9} {:>9} {:>8}\n", "model (micro-batch 4, fp32)", "tokens/s",
             "step ms", "floor ms", "of floor", "GFLOP/s");
  for (int vocab : {1024, 4096}) {
    const parallel::ModelConfig config = {.layers = 4,
                                          .d_model = 256,
                                          .heads = 8,
                                          .kv_heads = 4,
                                          .ffn = 688,
                                          .context = 256,
                                          .vocab = vocab};
    constexpr int kBatch = 4;
    const Times times = Measure(config, kBatch, seconds);
    const double tokens = kBatch * config.context;
    fmt::print("{:<42} {:>10.0f} {:>9.2f} {:>9.2f} {:>8.1f}% {:>8.1f}\n",
               fmt::format("layers 4 d 256 heads 8/4 ffn 688 T 256 V {}", vocab),
               tokens / times.step, times.step * 1e3, times.floor * 1e3,
               100 * times.floor / times.step,
               tokens * parallel::FlopsPerToken(config) / times.step * 1e-9);
  }
  const collective::RingCost ring = collective::MeasureRing(seconds);
  fmt::print(
      "a collective noted in the rank's ring: {:.0f} ns; all-reduce of 4 floats between two "
      "threads {:.0f} ns, noted {:.0f} ns: x {:.3f}\n",
      ring.note_ns, ring.plain_ns, ring.noted_ns, ring.noted_ns / ring.plain_ns);
  return 0;
}

}  // namespace
}  // namespace muster::trainer::model

int main(int argc, char** argv) { return muster::trainer::model::Main(argc, argv); }
