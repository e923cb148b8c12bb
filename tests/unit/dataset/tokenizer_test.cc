#include "dataset/tokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/temp_folder.h"
#include "tests/unit/dataset/real_text.h"

namespace muster::dataset {
namespace {

std::vector<std::string> RealTexts(uint64_t bytes) {
  TempFolder temp;
  CopyRealText(temp.path(), bytes);
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temp.path())) {
    if (entry.is_regular_file()) texts.push_back(ReadFile(entry.path()));
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

void ExpectRoundTrips(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  const std::string odd[] = {
      "",
      " ",
      "  leading and trailing  ",
      "\n\n\t\ttabs\r\n",
      std::string("nul \0 inside", 12),
      "a space mark \xe2\x96\x81 of its own, and \xe2\x96\x81\xe2\x96\x81 two",
      "not UTF-8: \xff\xfe \xc0\x80 \xed\xa0\x80 \xe2\x96",
      "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x8e\x89 e\xcc\x81",
      "</s> <unk> <0x0A> <s>",
      "\xef\xbc\xa1\xef\xac\x81 full width and ligature stay as they are",
      std::string(10000, ' '),
      std::string(9000, 'x'),
  };
  for (const std::string& text : odd) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text) << text.substr(0, 60);
  }
  for (const std::string& text : texts) {
    ASSERT_TRUE(tokenizer.Decode(tokenizer.Encode(text)) == text) << text.substr(0, 200);
  }
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::string noise(random() % 300, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    EXPECT_TRUE(tokenizer.Decode(tokenizer.Encode(noise)) == noise);
  }
}

TEST(ByteTokenizer, RoundTrip) {
  const auto tokenizer = MakeByteTokenizer();
  ExpectRoundTrips(*tokenizer, RealTexts(200000));
  EXPECT_EQ(tokenizer->vocab_size(), 257u);
  EXPECT_EQ(tokenizer->BytesOf(tokenizer->end_of_document()), "");
  EXPECT_EQ(tokenizer->BytesOf(70000), "");
}

TEST(BpeTokenizer, RoundTripAndTheSameFromTheSameText) {
  const std::vector<std::string> texts = RealTexts(600000);
  const auto model = TrainBpe(texts, 1024);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(*model, *TrainBpe(texts, 1024));
  const auto tokenizer = MakeBpeTokenizer(*model);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 1024u);
  ExpectRoundTrips(**tokenizer, texts);
  size_t bytes = 0, tokens = 0;
  for (const std::string& text : texts) {
    bytes += text.size();
    const std::vector<Token> encoded = (*tokenizer)->Encode(text);
    tokens += encoded.size();
    for (Token token : encoded) EXPECT_LT(token, 1024);
  }
  std::printf("  %.2f bytes per token\n", static_cast<double>(bytes) / static_cast<double>(tokens));
  EXPECT_GT(bytes, tokens * 2);
}

TEST(BpeTokenizer, BadModelsAreRefused) {
  EXPECT_EQ(MakeBpeTokenizer("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MakeBpeTokenizer("rubbish").status().code(), absl::StatusCode::kDataLoss);
  const std::vector<std::string> little = {"hello"};
  EXPECT_EQ(TrainBpe(little, 4096).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TrainBpe(little, 100).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster::dataset
