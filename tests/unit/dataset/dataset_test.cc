#include "dataset/dataset.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "dataset/permutation.h"
#include "dataset/prepare.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/dataset/real_text.h"

namespace muster::dataset {
namespace {

namespace fs = std::filesystem;

TEST(Permutation, IsABijectionOfEverySize) {
  for (uint64_t size : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 63u, 64u, 65u, 1000u, 4097u, 65536u}) {
    for (uint64_t key : {0u, 1u, 12345u}) {
      const Permutation order(size, key);
      std::vector<bool> seen(size);
      uint64_t fixed = 0;
      for (uint64_t i = 0; i < size; ++i) {
        const uint64_t at = order(i);
        ASSERT_LT(at, size);
        ASSERT_FALSE(seen[at]) << size << " " << key;
        seen[at] = true;
        fixed += at == i;
      }
      if (size >= 1000) {
        EXPECT_LT(fixed, 20u) << size;  // about one is to be expected
      }
    }
  }
}

class DatasetTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(temp_.path() + "/source");
    CopyRealText(temp_.path() + "/source", 600000);
    PrepareOptions options{.source = temp_.path() + "/source", .out = Folder()};
    options.held_out = 0.3;
    options.shard_tokens = 30000;  // windows cross shards
    ASSERT_TRUE(Prepare(options).ok());
    auto opened = Dataset::Open(Folder());
    ASSERT_TRUE(opened.ok()) << opened.status();
    dataset_ = *std::move(opened);
  }
  std::string Folder() const { return temp_.path() + "/data"; }
  TempFolder temp_;
  std::unique_ptr<Dataset> dataset_;
};

TEST_F(DatasetTest, AnEpochVisitsEveryWindowOnce) {
  const uint64_t context = 96, windows = dataset_->TrainWindows(context);
  ASSERT_GT(windows, 100u);
  std::vector<std::vector<int32_t>> straight;  // the windows as they lie
  std::vector<int32_t> all;
  for (const ShardInfo& shard : dataset_->info().train.shards) {
    const auto mapped = TokenShard::Open(Folder() + "/" + shard.name, shard.tokens);
    all.insert(all.end(), mapped->tokens().begin(), mapped->tokens().end());
  }
  std::multiset<std::vector<int32_t>> expected, seen;
  for (uint64_t w = 0; w < windows; ++w) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>(w * context);
    expected.emplace(begin, begin + static_cast<ptrdiff_t>(context + 1));
  }
  std::vector<int32_t> tokens(context + 1), again(context + 1);
  int same_place = 0;
  for (uint64_t n = windows; n < 2 * windows; ++n) {
    dataset_->Sample(n, 7, tokens);
    seen.insert(tokens);
    dataset_->Sample(n, 7, again);
    EXPECT_EQ(tokens, again);
    dataset_->Sample(n - windows, 7, again);
    same_place += tokens == again;
  }
  EXPECT_EQ(seen, expected);
  EXPECT_LT(same_place, 20);  // the next epoch has another order
  dataset_->Sample(0, 7, tokens);
  dataset_->Sample(0, 8, again);
  EXPECT_NE(tokens, again);
}

TEST_F(DatasetTest, HeldOutBytesAreExact) {
  const uint64_t context = 50, windows = dataset_->HeldOutWindows(context);
  ASSERT_GT(windows, 3u);
  std::vector<int32_t> tokens(context + 1);
  uint64_t bytes = 0;
  std::string text;
  for (uint64_t w = 0; w < windows; ++w) {
    const uint64_t window_bytes = dataset_->HeldOut(w, tokens);
    std::vector<Token> targets(tokens.begin() + 1, tokens.end());
    EXPECT_EQ(window_bytes, dataset_->tokenizer().Decode(targets).size());
    bytes += window_bytes;
  }
  EXPECT_LE(bytes, dataset_->info().held_out.bytes);
  EXPECT_GT(bytes + 2 * context, dataset_->info().held_out.bytes);
}

TEST_F(DatasetTest, DamageIsFoundAndNamed) {
  const std::string shard = Folder() + "/train-00001.tokens";
  const std::string whole = ReadFile(shard);
  auto expect = [&](const char* name, const std::string& content, absl::StatusCode code) {
    std::ofstream(shard, std::ios::binary) << content;
    const auto opened = Dataset::Open(Folder());
    EXPECT_EQ(opened.status().code(), code) << name << ": " << opened.status();
    EXPECT_NE(std::string(opened.status().message()).find("train-00001.tokens"), std::string::npos)
        << opened.status();
    EXPECT_NE(std::string(opened.status().message()).find("muster data prepare"), std::string::npos)
        << opened.status();
    std::ofstream(shard, std::ios::binary) << whole;
  };
  dataset_.reset();
  expect("cut", whole.substr(0, whole.size() - 2), absl::StatusCode::kDataLoss);
  expect("grown", whole + "xx", absl::StatusCode::kDataLoss);
  expect("empty", "", absl::StatusCode::kDataLoss);
  for (size_t at = 0; at < kShardHeaderBytes; ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    expect("header", flipped, absl::StatusCode::kDataLoss);
  }
  std::string flipped = whole;
  flipped[5000] = static_cast<char>(flipped[5000] ^ 1);
  std::ofstream(shard, std::ios::binary) << flipped;
  const auto opened = Dataset::Open(Folder());
  ASSERT_TRUE(opened.ok());
  const absl::Status damaged = (*opened)->VerifyDigests();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(std::string(damaged.message()).find(shard), std::string::npos) << damaged;

  fs::remove(shard);
  EXPECT_EQ(Dataset::Open(Folder()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Dataset::Open(temp_.path() + "/none").status().code(), absl::StatusCode::kNotFound);

  std::string json = ReadFile(Folder() + "/dataset.json");
  for (size_t at = 0; at < json.size(); at += 7) {
    std::string bad = json;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    const absl::StatusOr<DatasetInfo> parsed = ParseDatasetInfo(bad);
    // White space between fields may differ; nothing else.
    if (parsed.ok()) {
      EXPECT_EQ(DatasetInfoText(*parsed), json);
    }
  }
}

}  // namespace
}  // namespace muster::dataset
