// A shim's side of exchanges between nodes: what it says again to a new worker.
#include "worker/shim/exchange_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::worker::shim {
namespace {

using testing::ElementsAre;

class Exchange : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(loop_.Open().ok()); }

  ExchangeBoard Board(std::vector<uint32_t> ranks) {
    return ExchangeBoard(
        &loop_, std::move(ranks), 4, 2,
        [this](const v1::ShimToWorker& message) { said_.push_back(Text(message)); },
        [](uint32_t, uint32_t, const absl::StatusOr<std::string>&) {});
  }

  void Join(ExchangeBoard& board, const std::string& key) {
    board.Join(key, 2, "mine", [this](absl::StatusOr<std::vector<std::string>> blobs) {
      got_ = blobs.ok() ? *blobs : std::vector<std::string>{std::string(blobs.status().message())};
    });
    ASSERT_TRUE(loop_.RunOnce(MonotonicMs()).ok());
  }

  static v1::ShimExchangeResult Result(const std::string& key, const std::string& error = "") {
    v1::ShimExchangeResult result;
    result.set_key(key);
    result.set_error(error);
    if (error.empty()) {
      result.add_blobs("mine");
      result.add_blobs("theirs");
    }
    return result;
  }

  static std::string Text(const v1::ShimToWorker& message) {
    if (message.has_exchange()) return "give " + message.exchange().key();
    const v1::ShimExchangeOver& over = message.exchange_over();
    std::string text = "over " + over.key();
    for (const std::string& blob : over.blobs()) text += " " + blob;
    return text;
  }

  static std::vector<std::string> Again(const ExchangeBoard& board) {
    std::vector<std::string> texts;
    for (const v1::ShimToWorker& message : board.ToTellAgain()) texts.push_back(Text(message));
    return texts;
  }

  Loop loop_;
  std::vector<std::string> said_, got_;
};

TEST_F(Exchange, TheFirstNodeTellsThatItHasTheResultAndTellsEachWorker) {
  ExchangeBoard board = Board({0, 1});
  Join(board, "k");
  EXPECT_THAT(Again(board), ElementsAre("give k"));
  board.Result(Result("k"));
  EXPECT_THAT(got_, ElementsAre("mine", "theirs"));
  Join(board, "l");
  board.Result(Result("k"));  // told twice
  EXPECT_THAT(said_, ElementsAre("give k", "over k mine theirs", "give l"));
  EXPECT_THAT(Again(board), ElementsAre("over k mine theirs", "give l"));
}

TEST_F(Exchange, OtherNodesTellOnlyWhatTheyStillWaitFor) {
  ExchangeBoard board = Board({2, 3});
  Join(board, "k");
  board.Result(Result("k"));
  Join(board, "l");
  EXPECT_THAT(said_, ElementsAre("give k", "give l"));
  EXPECT_THAT(Again(board), ElementsAre("give l"));
}

TEST_F(Exchange, AnExchangeThatFailedIsNotToldAsOver) {
  ExchangeBoard board = Board({0, 1});
  Join(board, "k");
  board.Result(Result("k", "nobody came"));
  EXPECT_THAT(said_, ElementsAre("give k"));
  EXPECT_THAT(Again(board), ElementsAre());
}

}  // namespace
}  // namespace muster::worker::shim
