#include "worker/shim/milestones.h"

#include <gtest/gtest.h>

namespace muster::worker::shim {
namespace {

v1::Progress At(uint64_t step, uint64_t first_step) {
  v1::Progress progress;
  progress.set_step(step);
  progress.set_first_step(first_step);
  progress.set_updates(1 + step);
  return progress;
}

TEST(Milestones, FirstStepThenWhereItHadStoodEachOnce) {
  Milestones milestones(50);
  EXPECT_FALSE(milestones.Take(At(0, 0))) << "nothing is said yet";
  EXPECT_FALSE(milestones.Take(At(40, 40))) << "it has loaded, and finished no step";
  EXPECT_TRUE(milestones.Take(At(41, 40)));
  EXPECT_EQ(milestones.reached(), 1u);
  EXPECT_FALSE(milestones.Take(At(49, 40)));
  EXPECT_TRUE(milestones.looking());
  EXPECT_TRUE(milestones.Take(At(50, 40)));
  EXPECT_FALSE(milestones.looking());
  EXPECT_FALSE(milestones.Take(At(51, 40)));
}

TEST(Milestones, BothAtOnceWhenNothingIsLost) {
  Milestones resumed(40);
  EXPECT_TRUE(resumed.Take(At(41, 40)));
  EXPECT_EQ(resumed.reached(), 2u);
  Milestones first_attempt(0);
  EXPECT_FALSE(first_attempt.Take(At(0, 0)));
  EXPECT_TRUE(first_attempt.Take(At(1, 0)));
  EXPECT_FALSE(first_attempt.looking());
}

TEST(Milestones, ALookThatComesLateMissesNone) {
  Milestones milestones(50);
  EXPECT_TRUE(milestones.Take(At(60, 40)));
  EXPECT_FALSE(milestones.looking());
}

TEST(Milestones, AProgramThatSaysNothingIsNotLookedAtForEver) {
  Milestones milestones(50);
  for (uint32_t i = 0; i < kSilentLooksMax; ++i) {
    ASSERT_TRUE(milestones.looking());
    EXPECT_FALSE(milestones.Take(v1::Progress()));
  }
  EXPECT_FALSE(milestones.looking());
  EXPECT_FALSE(milestones.Take(At(40, 40))) << "with a report, it speaks after all";
  EXPECT_TRUE(milestones.looking());
  EXPECT_TRUE(milestones.Take(At(41, 40)));
}

}  // namespace
}  // namespace muster::worker::shim
