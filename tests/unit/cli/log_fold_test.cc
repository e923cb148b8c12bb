#include "cli/log_fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const absl::Time kStart = absl::UnixEpoch();

TEST(LogFold, SaysOnceWhatAllSay) {
  LogFold fold(4, absl::InfiniteDuration());
  for (uint32_t rank = 0; rank < 4; ++rank) fold.Add(rank, "init\nready\n", kStart);
  EXPECT_THAT(fold.Take(kStart, false), ElementsAre("[0-3] init", "[0-3] ready"));
}

TEST(LogFold, KeepsEachRanksOwnOrder) {
  LogFold fold(2, absl::InfiniteDuration());
  fold.Add(0, "a\nb\na\n", kStart);
  fold.Add(1, "b\na\nb\n", kStart);
  EXPECT_THAT(fold.Take(kStart, true), ElementsAre("[0] a", "[0-1] b", "[0-1] a", "[1] b"));
}

TEST(LogFold, JoinsLinesThatComeInPieces) {
  LogFold fold(1, absl::InfiniteDuration());
  fold.Add(0, "hel", kStart);
  EXPECT_THAT(fold.Take(kStart, true), IsEmpty());
  fold.Add(0, "lo\nwor", kStart);
  fold.Add(0, "ld", kStart);
  fold.End(0, kStart);
  EXPECT_THAT(fold.Take(kStart, true), ElementsAre("[0] hello", "[0] world"));
}

TEST(LogFold, WaitsForTheOthersButNotForEver) {
  LogFold fold(3, absl::Milliseconds(300));
  fold.Add(0, "x\n", kStart);
  fold.Add(2, "x\n", kStart + absl::Milliseconds(100));
  EXPECT_THAT(fold.Take(kStart + absl::Milliseconds(299), false), IsEmpty());
  EXPECT_THAT(fold.Take(kStart + absl::Milliseconds(300), false), ElementsAre("[0,2] x"));
  fold.Add(1, "x\n", kStart + absl::Milliseconds(301));
  EXPECT_THAT(fold.Take(kStart, true), ElementsAre("[1] x"));
}

}  // namespace
}  // namespace muster::cli
