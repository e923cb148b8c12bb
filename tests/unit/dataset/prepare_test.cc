#include "dataset/prepare.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "dataset/dataset.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/dataset/real_text.h"

namespace muster::dataset {
namespace {

namespace fs = std::filesystem;

class PrepareTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.source = temp_.path() + "/source";
    options_.out = temp_.path() + "/out";
    options_.held_out = 0.1;
    options_.shard_tokens = 50000;
    fs::create_directories(options_.source);
    CopyRealText(options_.source, 400000);
  }
  PrepareReport Must(const PrepareOptions& options) {
    const absl::StatusOr<PrepareReport> report = Prepare(options);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : PrepareReport();
  }
  TempFolder temp_;
  PrepareOptions options_;
};

// All text of a split, put together again from its tokens.
std::string TextOf(const Dataset& dataset, const std::string& folder, const SplitInfo& split) {
  std::string text;
  for (const ShardInfo& shard : split.shards) {
    const auto mapped = TokenShard::Open(folder + "/" + shard.name, shard.tokens);
    EXPECT_TRUE(mapped.ok()) << mapped.status();
    EXPECT_TRUE(mapped->VerifyTokens().ok());
    text += dataset.tokenizer().Decode(mapped->tokens());
  }
  return text;
}

TEST_F(PrepareTest, TokensAreTheTextAndBothSplitsAreAllOfIt) {
  for (const char* tokenizer : {"byte", "bpe"}) {
    options_.tokenizer = tokenizer;
    options_.vocab_size = 512;
    options_.out = temp_.path() + "/" + tokenizer;
    std::ofstream(options_.source + "/binary.py") << std::string(10, '\0');
    std::ofstream(options_.source + "/latin1.py") << "caf\xe9";
    std::ofstream(options_.source + "/empty.py") << "";
    std::ofstream(options_.source + "/image.png") << "not taken";
    const PrepareReport report = Must(options_);
    const DatasetInfo& info = report.info;
    EXPECT_EQ(info.source.skipped_binary, 1u);
    EXPECT_EQ(info.source.skipped_not_utf8, 1u);
    EXPECT_GE(info.source.skipped_empty, 1u);
    EXPECT_GT(info.train.shards.size(), 1u);
    EXPECT_GE(info.held_out.documents, 1u);
    EXPECT_EQ(info.train.bytes + info.held_out.bytes, info.source.bytes);
    EXPECT_EQ(info.train.documents + info.held_out.documents, info.source.files);
    EXPECT_EQ(info.padded_vocab_size % 64, 0u);
    EXPECT_FALSE(fs::exists(options_.out + "/prepare.state.json"));

    const auto dataset = Dataset::Open(options_.out);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_TRUE((*dataset)->VerifyDigests().ok());
    const std::string train = TextOf(**dataset, options_.out, info.train);
    const std::string held_out = TextOf(**dataset, options_.out, info.held_out);
    EXPECT_EQ(train.size(), info.train.bytes);
    EXPECT_EQ(held_out.size(), info.held_out.bytes);
    // Each source file is whole in exactly one of them.
    for (const auto& entry : fs::recursive_directory_iterator(options_.source)) {
      if (!entry.is_regular_file() || entry.path().extension() != ".py") continue;
      const std::string text = ReadFile(entry.path());
      if (text.size() < 200 || text.find('\0') != std::string::npos) continue;
      EXPECT_NE(train.find(text) == std::string::npos, held_out.find(text) == std::string::npos)
          << entry.path();
    }
  }
}

TEST_F(PrepareTest, AFinishedFolderIsLeftAloneUntilSourceOrOptionsChange) {
  const PrepareReport first = Must(options_);
  EXPECT_FALSE(first.up_to_date);
  const PrepareReport second = Must(options_);
  EXPECT_TRUE(second.up_to_date);
  EXPECT_EQ(second.info, first.info);

  std::ofstream(options_.source + "/zz_new.py") << "print('new')\n";
  const PrepareReport third = Must(options_);
  EXPECT_FALSE(third.up_to_date);
  EXPECT_NE(third.info.digest, first.info.digest);

  fs::remove(options_.source + "/zz_new.py");
  options_.shard_tokens = 100000;
  const PrepareReport fourth = Must(options_);
  EXPECT_FALSE(fourth.up_to_date);
  EXPECT_LT(fourth.info.train.shards.size(), first.info.train.shards.size());
  // Shards of the older, finer cut are gone.
  size_t shards = 0;
  for (const auto& entry : fs::directory_iterator(options_.out)) {
    shards += entry.path().extension() == ".tokens";
  }
  EXPECT_EQ(shards, fourth.info.train.shards.size() + fourth.info.held_out.shards.size());

  // A shard that was cut is made again, although nothing else changed.
  fs::resize_file(options_.out + "/train-00000.tokens", 100);
  EXPECT_FALSE(Must(options_).up_to_date);
  EXPECT_TRUE(Dataset::Open(options_.out).ok());
}

TEST_F(PrepareTest, StoppedAnywhereItGoesOnAndEndsTheSame) {
  options_.tokenizer = "bpe";
  options_.vocab_size = 512;
  options_.shard_tokens = 20000;
  int all_calls = 0;
  const auto whole = Prepare(options_, [&](const PrepareProgress&) { return ++all_calls > 0; });
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::string straight = whole->info.digest;
  uint64_t resumed = 0;
  for (int eighth = 0; eighth < 8; ++eighth) {
    const int stop_at = eighth * all_calls / 8;
    options_.out = temp_.path() + "/stopped" + std::to_string(stop_at);
    int calls = 0;
    const auto stopped =
        Prepare(options_, [&](const PrepareProgress&) { return calls++ < stop_at; });
    ASSERT_EQ(stopped.status().code(), absl::StatusCode::kCancelled) << "stop at " << stop_at;
    EXPECT_FALSE(fs::exists(options_.out + "/dataset.json"));
    EXPECT_EQ(Dataset::Open(options_.out).status().code(), absl::StatusCode::kNotFound);
    // kill -9 in the middle of a write leaves such a file too.
    if (fs::exists(options_.out))
      std::ofstream(options_.out + "/.tmp-train-00001.tokens") << "half";
    const PrepareReport report = Must(options_);
    EXPECT_EQ(report.info.digest, straight) << "stop at " << stop_at;
    EXPECT_FALSE(fs::exists(options_.out + "/.tmp-train-00001.tokens"));
    resumed += report.resumed_shards;
  }
  EXPECT_GT(resumed, 3u);

  // A finished shard that was damaged meanwhile is not taken over.
  options_.out = temp_.path() + "/damaged";
  int calls = 0;
  ASSERT_FALSE(
      Prepare(options_, [&](const PrepareProgress&) { return calls++ < all_calls - 1; }).ok());
  std::fstream(options_.out + "/train-00000.tokens", std::ios::in | std::ios::out).seekp(80) << "x";
  const PrepareReport report = Must(options_);
  EXPECT_EQ(report.resumed_shards, 0u);
  EXPECT_EQ(report.info.digest, straight);
}

TEST_F(PrepareTest, OneFileIsCutAtLineEndsAndHasAHeldOutPart) {
  std::string text;
  for (const auto& entry : fs::recursive_directory_iterator(options_.source)) {
    if (entry.is_regular_file()) text += ReadFile(entry.path());
  }
  const std::string file = temp_.path() + "/book.txt";
  std::ofstream(file) << text;
  options_.source = file;
  const PrepareReport report = Must(options_);
  EXPECT_EQ(report.info.train.bytes + report.info.held_out.bytes, text.size());
  EXPECT_GE(report.info.held_out.documents, 1u);
  EXPECT_GE(report.info.train.documents, 3u);
}

TEST_F(PrepareTest, BadInputIsOneClearLine) {
  struct Case {
    const char* name;
    std::function<void(PrepareOptions&)> spoil;
    absl::StatusCode code;
    const char* says;
  };
  const Case cases[] = {
      {"no such source", [&](auto& o) { o.source = temp_.path() + "/nowhere"; },
       absl::StatusCode::kNotFound, "/nowhere"},
      {"nothing matches", [](auto& o) { o.globs = {"*.nothing"}; }, absl::StatusCode::kNotFound,
       "*.nothing"},
      {"an unknown tokenizer", [](auto& o) { o.tokenizer = "word"; },
       absl::StatusCode::kInvalidArgument, "byte or bpe"},
      {"too many tokens", [](auto& o) { o.tokenizer = "bpe", o.vocab_size = 70000; },
       absl::StatusCode::kInvalidArgument, "65536"},
      {"too much held out", [](auto& o) { o.held_out = 0.9; }, absl::StatusCode::kInvalidArgument,
       "0.5"},
      {"somebody else's folder",
       [&](auto& o) {
         fs::create_directories(temp_.path() + "/mine");
         std::ofstream(temp_.path() + "/mine/thesis.txt") << "x";
         o.out = temp_.path() + "/mine";
       },
       absl::StatusCode::kFailedPrecondition, "thesis.txt"},
      {"an output below a file",
       [&](auto& o) {
         std::ofstream(temp_.path() + "/plain") << "x";
         o.out = temp_.path() + "/plain/out";
       },
       absl::StatusCode::kNotFound, "/plain/out"},
  };
  for (const Case& c : cases) {
    PrepareOptions options = options_;
    c.spoil(options);
    const absl::Status status = Prepare(options).status();
    EXPECT_EQ(status.code(), c.code) << c.name << ": " << status;
    EXPECT_NE(std::string(status.message()).find(c.says), std::string::npos)
        << c.name << ": " << status;
  }
  EXPECT_EQ(ReadFile(temp_.path() + "/mine/thesis.txt"), "x");
}

}  // namespace
}  // namespace muster::dataset
