#include "trainer/parallel/parameter_table.h"

#include <gtest/gtest.h>

#include <map>

namespace muster::trainer::parallel {
namespace {

ModelConfig Small() {
  return {.layers = 2,
          .d_model = 64,
          .heads = 8,
          .kv_heads = 4,
          .ffn = 96,
          .context = 32,
          .vocab = 300};
}

TEST(ParameterTable, BucketsTileTheBufferInWholeBlocks) {
  const ParameterTable table = *MakeParameterTable(Small(), 1, 2);
  ASSERT_EQ(table.buckets.size(), 4u);
  size_t end = 0;
  for (const Interval& bucket : table.buckets) {
    EXPECT_EQ(bucket.begin, end);
    EXPECT_EQ(bucket.begin % kBlock, 0u);
    end = bucket.end;
  }
  EXPECT_EQ(end, table.size);
  EXPECT_EQ(table.size % kBlock, 0u);
  for (const Parameter& parameter : table.parameters) {
    const Interval bucket = table.buckets[static_cast<size_t>(parameter.bucket)];
    EXPECT_EQ(Intersect(bucket, parameter.interval()), parameter.interval()) << parameter.name;
    EXPECT_EQ(parameter.begin % kParameterAlignment, 0u) << parameter.name;
  }
}

TEST(ParameterTable, QueryKeyValueAndGateUpLieWithoutAGap) {
  for (int tensor : {1, 2, 4}) {
    const ParameterTable table = *MakeParameterTable(Small(), 0, tensor);
    const auto follows = [&](const char* first, const char* second) {
      EXPECT_EQ(table.Find(first).interval().end, table.Find(second).begin) << second;
    };
    follows("model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight");
    follows("model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight");
    follows("model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight");
  }
}

TEST(ParameterTable, TensorRanksShareEveryMatrixExactlyOnce) {
  for (int tensor : {1, 2, 4}) {
    std::map<std::string, int64_t> covered;
    for (int rank = 0; rank < tensor; ++rank) {
      const ParameterTable table = *MakeParameterTable(Small(), rank, tensor);
      for (const Parameter& parameter : table.parameters) {
        if (parameter.replicated()) {
          EXPECT_EQ(parameter.local_shape, parameter.global_shape);
          EXPECT_FALSE(parameter.decay);
          continue;
        }
        const size_t dim = static_cast<size_t>(parameter.split_dim);
        EXPECT_EQ(parameter.split_offset, covered[parameter.name]) << parameter.name;
        covered[parameter.name] += parameter.local_shape[dim];
        if (rank == tensor - 1) {
          EXPECT_EQ(covered[parameter.name], parameter.global_shape[dim]) << parameter.name;
        }
      }
    }
  }
}

TEST(ParameterTable, RefusesARankOutsideTheGroup) {
  EXPECT_FALSE(MakeParameterTable(Small(), 2, 2).ok());
}

}  // namespace
}  // namespace muster::trainer::parallel
