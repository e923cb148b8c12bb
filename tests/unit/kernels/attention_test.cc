#include "trainer/kernels/cpu/attention.h"

#include <cstring>

#include "tests/unit/kernels/finite_difference.h"

namespace muster::trainer::kernels::cpu {
namespace {

std::vector<double> Plain(const AttentionShape& shape, const std::vector<double>& qkv) {
  std::vector<double> out(static_cast<size_t>(shape.batch * shape.tokens * shape.out_width()));
  const auto at = [&](int64_t b, int64_t t, int64_t head) {
    return &qkv[static_cast<size_t>((b * shape.tokens + t) * shape.qkv_width() +
                                    head * shape.head_dim)];
  };
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t kv = shape.heads + head / (shape.heads / shape.kv_heads);
      for (int64_t t = 0; t < shape.tokens; ++t) {
        std::vector<double> weights;
        double sum = 0;
        for (int64_t s = 0; s <= t; ++s) {
          double score = 0;
          for (int64_t i = 0; i < shape.head_dim; ++i) score += at(b, t, head)[i] * at(b, s, kv)[i];
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(shape.head_dim))));
          sum += weights.back();
        }
        double* y = &out[static_cast<size_t>((b * shape.tokens + t) * shape.out_width() +
                                             head * shape.head_dim)];
        for (int64_t s = 0; s <= t; ++s) {
          for (int64_t i = 0; i < shape.head_dim; ++i) {
            y[i] += weights[static_cast<size_t>(s)] / sum * at(b, s, kv + shape.kv_heads)[i];
          }
        }
      }
    }
  }
  return out;
}

struct Result {
  std::vector<float> out, log_sum, dqkv;
};

Result RunKernel(const AttentionShape& shape, const std::vector<float>& qkv,
                 const std::vector<float>& dout) {
  Result run;
  run.out.resize(dout.size());
  run.log_sum.resize(static_cast<size_t>(shape.batch * shape.heads * shape.tokens));
  run.dqkv.assign(qkv.size(), 5.0f);  // it overwrites
  std::vector<float> workspace(shape.workspace());
  AttentionForward(shape, qkv.data(), run.out.data(), run.log_sum.data(), workspace.data());
  AttentionBackward(shape, qkv.data(), run.out.data(), run.log_sum.data(), dout.data(),
                    run.dqkv.data(), workspace.data());
  return run;
}

size_t QkvSize(const AttentionShape& s) {
  return static_cast<size_t>(s.batch * s.tokens * s.qkv_width());
}
size_t OutSize(const AttentionShape& s) {
  return static_cast<size_t>(s.batch * s.tokens * s.out_width());
}

TEST(Attention, ForwardAndBackwardAgreeWithTheJudge) {
  const AttentionShape shapes[] = {{2, 9, 4, 2, 4}, {1, 7, 2, 2, 8}, {1, 1, 2, 1, 4}};
  for (const AttentionShape& shape : shapes) {
    const auto qkv = Random(QkvSize(shape), 1, 1.5f);
    const auto dout = Random(OutSize(shape), 2);
    const Result run = RunKernel(shape, qkv, dout);
    ExpectClose(run.out, Plain(shape, Doubles(qkv)), "out");
    ExpectClose(
        run.dqkv,
        Differences(Doubles(qkv), [&](const auto& v) { return Dot(Plain(shape, v), dout); }),
        "dqkv");
  }
}

// More tokens than one block of queries, and not a multiple of it; the judge along directions.
TEST(Attention, SeveralBlocksAgreeWithTheJudge) {
  const AttentionShape shape{1, 150, 4, 2, 8};
  const auto qkv = Random(QkvSize(shape), 3, 1.5f);
  const auto dout = Random(OutSize(shape), 4);
  const Result run = RunKernel(shape, qkv, dout);
  ExpectClose(run.out, Plain(shape, Doubles(qkv)), "out");
  for (unsigned seed = 10; seed < 18; ++seed) {
    const auto direction = Random(qkv.size(), seed);
    const auto loss = [&](double step) {
      std::vector<double> moved = Doubles(qkv);
      for (size_t i = 0; i < moved.size(); ++i) {
        moved[i] += step * static_cast<double>(direction[i]);
      }
      return Dot(Plain(shape, moved), dout);
    };
    const double judge = (loss(1e-5) - loss(-1e-5)) / 2e-5;
    EXPECT_NEAR(Dot(Doubles(run.dqkv), direction), judge, 1e-4 * (1 + std::abs(judge)));
  }
}

TEST(Attention, TwoRunsGiveTheSameBits) {
  const AttentionShape shape{2, 130, 4, 2, 8};
  const auto qkv = Random(QkvSize(shape), 5);
  const auto dout = Random(OutSize(shape), 6);
  const Result a = RunKernel(shape, qkv, dout);
  const Result b = RunKernel(shape, qkv, dout);
  EXPECT_EQ(std::memcmp(a.out.data(), b.out.data(), a.out.size() * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(a.dqkv.data(), b.dqkv.data(), a.dqkv.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace muster::trainer::kernels::cpu
