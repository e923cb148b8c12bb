#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "tests/unit/optim/reference.h"
#include "trainer/collective/in_process/in_process.h"
#include "trainer/optim/gradient_norm.h"
#include "trainer/optim/gradient_reducer.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"

namespace muster::trainer::optim {
namespace {

using parallel::Interval;
using parallel::ModelConfig;
using parallel::ParameterTable;

ParameterTable TinyTable(int tensor_rank = 0, int tensor_size = 1) {
  const ModelConfig config{.layers = 2,
                           .d_model = 48,
                           .heads = 4,
                           .kv_heads = 2,
                           .ffn = 80,
                           .context = 16,
                           .vocab = 100};
  auto table = parallel::MakeParameterTable(config, tensor_rank, tensor_size);
  EXPECT_TRUE(table.ok());
  return *table;
}

// The gradient of global micro-batch `leaf` at flat position i; padding is zero as the model has
// it.
float Leaf(int leaf, size_t i) {
  const double x = std::sin(0.11 * static_cast<double>(i) + 2.7 * leaf);
  return static_cast<float>(
      x * std::pow(4.0, static_cast<double>((i + static_cast<size_t>(leaf)) % 9)));
}

void WriteLeaf(const ParameterTable& table, int leaf, GradientReducer::Target target) {
  for (const parallel::Parameter& p : table.parameters) {
    for (size_t i = p.begin; i < p.begin + p.count; ++i) {
      target.grads[i] = (target.accumulate ? target.grads[i] : 0.0F) + Leaf(leaf, i);
    }
  }
}

struct Outcome {
  std::vector<float> params;
  std::vector<double> squares;  // of all blocks, in order
};

// Two updates on `size` ranks with `global` micro-batches each.
Outcome Train(int size, int global, Reproducible reproducible, bool zero) {
  const ParameterTable table = TinyTable();
  auto world = collective::MakeInProcessWorld(size);
  std::vector<Outcome> outcomes(static_cast<size_t>(size));
  std::vector<std::vector<std::vector<double>>> squares(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      collective::Collective& data = *world[static_cast<size_t>(r)];
      const ShardPlan plan = PlanShards(table, r, size);
      const int own = global / size;
      auto reducer = GradientReducer::Create(table, plan, data, reproducible, own, !zero);
      ASSERT_TRUE(reducer.ok()) << reducer.status();
      Optimizer optimizer({.weight_decay = 0.1}, table, plan, data, zero);
      std::vector<float> params(table.size);
      for (const parallel::Parameter& p : table.parameters) {
        for (size_t i = p.begin; i < p.begin + p.count; ++i) params[i] = 0.01F * Leaf(77, i);
      }
      for (uint64_t step = 1; step <= 2; ++step) {
        for (int m = 0; m < own; ++m) {
          WriteLeaf(table, r * own + m + static_cast<int>(step) * 100, (*reducer)->Begin(m));
          for (int b = static_cast<int>(table.buckets.size()) - 1; b >= 0; --b) {
            ASSERT_TRUE((*reducer)->OnReady(b).ok());
          }
        }
        ASSERT_TRUE((*reducer)->Finish().ok());
        auto& mine = squares[static_cast<size_t>(r)];
        mine.clear();
        for (size_t b = 0; b < table.buckets.size(); ++b) {
          mine.push_back(BlockSquares(table, plan.Own(b), (*reducer)->Share(b)));
        }
        ASSERT_TRUE(optimizer.Update(**reducer, 0.01, 0.5F, step, params).ok());
      }
      outcomes[static_cast<size_t>(r)].params = params;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.params, outcomes[0].params);
  for (size_t b = 0; b < table.buckets.size(); ++b) {
    for (const auto& rank : squares) {
      outcomes[0].squares.insert(outcomes[0].squares.end(), rank[b].begin(), rank[b].end());
    }
  }
  return outcomes[0];
}

TEST(GradientReducer, LayoutModeAddsInThePairwiseTreeOverAllMicroBatches) {
  const ParameterTable table = TinyTable();
  for (int leaves = 1; leaves <= 13; ++leaves) {
    auto world = collective::MakeInProcessWorld(1);
    const ShardPlan plan = PlanShards(table, 0, 1);
    auto reducer =
        GradientReducer::Create(table, plan, *world[0], Reproducible::kLayout, leaves, false);
    ASSERT_TRUE(reducer.ok());
    for (int m = 0; m < leaves; ++m) {
      WriteLeaf(table, m, (*reducer)->Begin(m));
      for (int b = static_cast<int>(table.buckets.size()) - 1; b >= 0; --b) {
        ASSERT_TRUE((*reducer)->OnReady(b).ok());
      }
    }
    ASSERT_TRUE((*reducer)->Finish().ok());
    for (const parallel::Parameter& p : table.parameters) {
      const auto b = static_cast<size_t>(p.bucket);
      for (size_t i = p.begin; i < p.begin + p.count; ++i) {
        std::vector<float> parts;
        for (int m = 0; m < leaves; ++m) parts.push_back(Leaf(m, i));
        const float got = (*reducer)->Share(b)[i - table.buckets[b].begin];
        ASSERT_EQ(got, PairwiseSum(parts)) << leaves << " leaves, " << p.name << " at " << i;
      }
    }
  }
}

struct Layout {
  const char* name;
  int ranks;
  int global;
  Reproducible reproducible;
  bool zero;
};

TEST(Optimizer, EveryDataLayoutAndZeroGiveTheSameBits) {
  const Outcome alone = Train(1, 8, Reproducible::kLayout, false);
  const Layout layouts[] = {
      {"two ranks, sharded", 2, 8, Reproducible::kLayout, true},
      {"two ranks, unsharded", 2, 8, Reproducible::kLayout, false},
      {"four ranks, sharded", 4, 8, Reproducible::kLayout, true},
      {"four ranks, unsharded", 4, 8, Reproducible::kLayout, false},
      {"eight ranks, sharded", 8, 8, Reproducible::kLayout, true},
      {"one rank, zero asked for", 1, 8, Reproducible::kLayout, true},
  };
  for (const Layout& layout : layouts) {
    const Outcome got = Train(layout.ranks, layout.global, layout.reproducible, layout.zero);
    EXPECT_EQ(got.params, alone.params) << layout.name;
    EXPECT_EQ(got.squares, alone.squares) << layout.name;
  }
}

TEST(Optimizer, RunModeZeroEqualsUnsharded) {
  const Outcome sharded = Train(3, 9, Reproducible::kRun, true);
  const Outcome whole = Train(3, 9, Reproducible::kRun, false);
  EXPECT_EQ(sharded.params, whole.params);
  EXPECT_EQ(sharded.squares, whole.squares);
  const Outcome other_layout = Train(1, 9, Reproducible::kRun, true);
  EXPECT_NE(sharded.params, other_layout.params) << "the test's values hide the order of addition";
}

TEST(GradientReducer, LayoutModeOverRanksNeedsAPowerOfTwo) {
  const ParameterTable table = TinyTable();
  auto world = collective::MakeInProcessWorld(2);
  const ShardPlan plan = PlanShards(table, 0, 2);
  auto reducer = GradientReducer::Create(table, plan, *world[0], Reproducible::kLayout, 3, false);
  ASSERT_FALSE(reducer.ok());
  EXPECT_EQ(std::string(reducer.status().message()),
            "train.reproducible: layout with mesh.data 2 needs a power of two of micro-batches per "
            "rank, and train.batch gives 3; change train.batch.global or train.batch.micro, or use "
            "reproducible: run");
}

TEST(BlockSquares, CountsReplicatedParametersOnTensorRankZeroOnly) {
  double total = 0;
  double expected = 0;
  for (int rank = 0; rank < 2; ++rank) {
    const ParameterTable table = TinyTable(rank, 2);
    const std::vector<float> ones(table.size, 1.0F);
    for (double square : BlockSquares(table, {0, table.size}, ones)) total += square;
    for (const parallel::Parameter& p : table.parameters) {
      if (rank == 0 || !p.replicated()) expected += static_cast<double>(p.count);
    }
  }
  EXPECT_EQ(total, expected);
}

TEST(AdamW, FollowsThePaperInDouble) {
  const AdamW options{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<float> p(257), m(257, 0.0F), v(257, 0.0F);
  for (float& x : p) x = static_cast<float>(normal(random));
  std::vector<double> rp(p.begin(), p.end()), rm(257, 0.0), rv(257, 0.0);
  for (uint64_t step = 1; step <= 20; ++step) {
    std::vector<float> g(257);
    for (float& x : g) x = static_cast<float>(normal(random));
    UpdateAdamW(options, {.lr = 0.01, .step = step, .grad_scale = 0.5F, .decay = true}, g, p, m, v);
    for (size_t i = 0; i < p.size(); ++i) {
      ReferenceAdamW(options, 0.01, step, 0.5 * static_cast<double>(g[i]), true, &rp[i], &rm[i],
                     &rv[i]);
    }
  }
  for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], rp[i], 2e-6) << i;
}

TEST(AdamW, NormsAndPaddingAreNotDecayed) {
  const ParameterTable table = TinyTable();
  for (const parallel::Parameter& p : table.parameters) {
    EXPECT_EQ(p.decay, p.global_shape.size() == 2) << p.name;
  }
  const Outcome outcome = Train(2, 2, Reproducible::kRun, true);
  std::vector<bool> used(table.size, false);
  for (const parallel::Parameter& p : table.parameters) {
    std::fill(used.begin() + static_cast<std::ptrdiff_t>(p.begin),
              used.begin() + static_cast<std::ptrdiff_t>(p.begin + p.count), true);
  }
  for (size_t i = 0; i < table.size; ++i) {
    if (used[i]) continue;
    ASSERT_EQ(outcome.params[i], 0.0F) << "padding at " << i;
  }
}

TEST(Schedule, WarmsUpThenFallsAlongACosine) {
  const Schedule schedule{.lr = 1.0, .min_lr_ratio = 0.1, .warmup_steps = 10, .total_steps = 110};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 10), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 60), 0.55);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 110), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 500), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate({.lr = 2.0, .warmup_steps = 0, .total_steps = 0}, 1), 2.0);
}

TEST(ClipScale, ScalesOnlyWhatIsTooLarge) {
  EXPECT_EQ(ClipScale(0.5, 1.0), 1.0F);
  EXPECT_EQ(ClipScale(4.0, 1.0), 0.25F);
  EXPECT_EQ(ClipScale(4.0, 0.0), 1.0F);
}

}  // namespace
}  // namespace muster::trainer::optim
