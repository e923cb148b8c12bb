#include "trainer/parallel/flat_range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace muster::trainer::parallel {
namespace {

// Counts in how many boxes each element of each whole tensor lies.
class Coverage {
 public:
  void Add(const Piece& piece) {
    std::vector<int>& counts = counts_[piece.name];
    int64_t total = 1;
    for (int64_t extent : piece.global_shape) total *= extent;
    counts.resize(static_cast<size_t>(total));
    const bool matrix = piece.global_shape.size() == 2;
    const int64_t columns = matrix ? piece.global_shape[1] : 1;
    int64_t in_box = 0;
    for (int64_t i = 0; i < piece.extent[0]; ++i) {
      for (int64_t j = 0; j < (matrix ? piece.extent[1] : 1); ++j, ++in_box) {
        const int64_t at = (piece.offset[0] + i) * columns + (matrix ? piece.offset[1] + j : 0);
        ++counts.at(static_cast<size_t>(at));
      }
    }
    EXPECT_EQ(in_box, static_cast<int64_t>(piece.count)) << piece.name;
  }

  void ExpectEachOnce() const {
    for (const auto& [name, counts] : counts_) {
      EXPECT_TRUE(std::all_of(counts.begin(), counts.end(), [](int c) { return c == 1; })) << name;
    }
  }
  size_t tensors() const { return counts_.size(); }

 private:
  std::map<std::string, std::vector<int>> counts_;
};

TEST(PiecesOfRange, TileEveryTensorExactlyOnceForRandomLayoutsAndCuts) {
  std::mt19937 random(20240611);
  const auto pick = [&](int from, int to) {
    return std::uniform_int_distribution<int>(from, to)(random);
  };
  for (int round = 0; round < 60; ++round) {
    const int tensor = 1 << pick(0, 2);
    ModelConfig config;
    config.layers = pick(1, 2);
    config.kv_heads = tensor * pick(1, 2);
    config.heads = config.kv_heads * pick(1, 2);
    config.d_model = config.heads * 4 * pick(1, 3);
    while (config.d_model % 16 != 0) config.d_model += config.heads * 4;
    config.ffn = 4 * tensor * pick(1, 7);
    config.context = 8;
    config.vocab = pick(1, 150);
    Coverage coverage;
    size_t tensors = 0;
    for (int rank = 0; rank < tensor; ++rank) {
      const auto table = MakeParameterTable(config, rank, tensor);
      ASSERT_TRUE(table.ok()) << table.status();
      tensors = table->parameters.size();
      std::vector<size_t> cuts = {0, table->size};
      for (int i = pick(0, 9); i > 0; --i) {
        cuts.push_back(static_cast<size_t>(pick(0, static_cast<int>(table->size))));
      }
      std::sort(cuts.begin(), cuts.end());
      for (size_t i = 0; i + 1 < cuts.size(); ++i) {
        std::map<std::string, int> boxes;
        size_t end = cuts[i];
        for (const Piece& piece : PiecesOfRange(*table, {cuts[i], cuts[i + 1]})) {
          EXPECT_GE(piece.flat_begin, end);
          end = piece.flat_begin + piece.count;
          EXPECT_GT(piece.count, 0u);
          EXPECT_LE(++boxes[piece.name], 3);
          const Parameter& parameter = table->Find(piece.name);
          EXPECT_EQ(Intersect(parameter.interval(), {piece.flat_begin, end}),
                    (Interval{piece.flat_begin, end}));
          if (!piece.replicated || rank == 0) coverage.Add(piece);
        }
        EXPECT_LE(end, cuts[i + 1]);
      }
    }
    coverage.ExpectEachOnce();
    EXPECT_EQ(coverage.tensors(), tensors);
  }
}

TEST(PiecesOfRange, CutsAMatrixIntoRestOfRowWholeRowsAndStart) {
  const ModelConfig config = {
      .layers = 1, .d_model = 64, .heads = 4, .kv_heads = 4, .ffn = 16, .context = 8, .vocab = 64};
  const ParameterTable table = *MakeParameterTable(config, 1, 2);  // embedding: rows 32 to 63
  const std::vector<Piece> pieces = PiecesOfRange(table, {60, 64 * 3 + 5});
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].offset, (std::vector<int64_t>{32, 60}));
  EXPECT_EQ(pieces[0].extent, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(pieces[1].offset, (std::vector<int64_t>{33, 0}));
  EXPECT_EQ(pieces[1].extent, (std::vector<int64_t>{2, 64}));
  EXPECT_EQ(pieces[1].flat_begin, 64u);
  EXPECT_EQ(pieces[2].offset, (std::vector<int64_t>{35, 0}));
  EXPECT_EQ(pieces[2].extent, (std::vector<int64_t>{1, 5}));
}

TEST(ShardsOf, AreWholeBlocksInOrderAndDifferByOne) {
  const Interval whole{2 * kBlock, 9 * kBlock};
  for (int shards : {1, 2, 3, 4, 7, 10}) {
    const std::vector<Interval> cut = ShardsOf(whole, shards);
    ASSERT_EQ(static_cast<int>(cut.size()), shards);
    size_t end = whole.begin;
    size_t least = whole.count();
    size_t most = 0;
    for (const Interval& shard : cut) {
      EXPECT_EQ(shard.begin, end);
      EXPECT_EQ(shard.count() % kBlock, 0u);
      least = std::min(least, shard.count());
      most = std::max(most, shard.count());
      end = shard.end;
    }
    EXPECT_EQ(end, whole.end);
    EXPECT_LE(most - least, kBlock);
  }
}

}  // namespace
}  // namespace muster::trainer::parallel
