#include "rank/checkpoint/asked_bytes.h"

#include <gtest/gtest.h>

#include <random>

namespace muster::rank {
namespace {

using Bytes = std::vector<std::byte>;

// 1000 bytes of file 3 from 40 on, asked for 300 at a time.
struct Question {
  Question() : there(2000), here(1000) {
    std::mt19937_64 random(5);
    for (std::byte& byte : there) byte = static_cast<std::byte>(random());
    asked.Add(3, {40, here.size(), here.data()}, 300);
  }
  Bytes AnswerTo(size_t first, size_t last) const {
    Answer answer(1);
    for (size_t i = first; i < last; ++i) {
      answer.Add(std::span(there).subspan(asked.asks()[i].from, asked.asks()[i].bytes));
    }
    return std::move(answer).Seal();
  }
  Bytes there, here;
  Asked asked;
};

TEST(AskedBytes, ArriveInAsManyAnswersAsTheGiverLikes) {
  Question question;
  ASSERT_EQ(question.asked.asks().size(), 4u);
  EXPECT_EQ(*question.asked.Take(question.AnswerTo(0, 1)), 300u);
  EXPECT_EQ(*question.asked.Take({}), 0u);
  EXPECT_FALSE(question.asked.complete());
  EXPECT_EQ(*question.asked.Take(question.AnswerTo(1, 4)), 700u);
  EXPECT_TRUE(question.asked.complete());
  EXPECT_EQ(question.here, Bytes(question.there.begin() + 40, question.there.begin() + 1040));
}

TEST(AskedBytes, NothingDamagedShortOrBeyondIsTaken) {
  Question question;
  const Bytes whole = question.AnswerTo(0, 2);
  for (size_t i = 0; i < whole.size(); ++i) {
    Bytes damaged = whole;
    damaged[i] ^= std::byte{0x10};
    EXPECT_TRUE(absl::IsDataLoss(question.asked.Take(damaged).status())) << "byte " << i;
  }
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(question.asked.Take(std::span(whole).first(size)).status()))
        << size << " bytes";
  }
  Answer short_one(299);
  short_one.Add(std::span(question.there).first(299));
  EXPECT_TRUE(absl::IsDataLoss(question.asked.Take(std::move(short_one).Seal()).status()));
  ASSERT_TRUE(question.asked.Take(question.AnswerTo(0, 4)).ok());
  EXPECT_TRUE(absl::IsDataLoss(question.asked.Take(question.AnswerTo(0, 1)).status()));
}

TEST(AskedBytes, AsksTravelWholeAndInOrderOrNotAtAll) {
  Question question;
  uint64_t limit = 0;
  std::vector<Ask> asks;
  const Bytes bytes = AsksToBytes(77, question.asked.asks());
  ASSERT_TRUE(ParseAsks(bytes, &limit, &asks).ok());
  EXPECT_EQ(limit, 77u);
  EXPECT_EQ(asks, question.asked.asks());
  EXPECT_TRUE(AsksToBytes(77, {}).empty());
  EXPECT_TRUE(
      absl::IsInvalidArgument(ParseAsks(std::span(bytes).first(bytes.size() - 1), &limit, &asks)));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAsks(
      AsksToBytes(77, {question.asked.asks()[1], question.asked.asks()[0]}), &limit, &asks)));
}

}  // namespace
}  // namespace muster::rank
