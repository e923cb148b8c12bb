// When saves are due: durable ones, and those in RAM.
#include <gtest/gtest.h>

#include "rank/checkpoint/ram_cadence.h"
#include "rank/checkpoint/save_cadence.h"

namespace muster::rank {
namespace {

TEST(SaveCadence, IsDueAtItsStepsAndWhenItsTimeIsUp) {
  SaveCadence both(10, 60);
  both.NoteBegun(100);
  EXPECT_FALSE(both.TimeIsUp(159.9));
  EXPECT_TRUE(both.TimeIsUp(160));
  both.NoteBegun(150);
  EXPECT_FALSE(both.TimeIsUp(160));
  EXPECT_TRUE(both.Due(20, false));
  EXPECT_FALSE(both.Due(21, false));
  EXPECT_TRUE(both.Due(21, true));
  const SaveCadence never(0, 0);
  EXPECT_FALSE(never.TimeIsUp(1e9));
  EXPECT_FALSE(never.Due(20, false));
}

TEST(SaveCadence, SaysWhenASaveIsTriedAgain) {
  EXPECT_EQ(SaveCadence(0, 0).NextTry(7, 30), "training goes on, next try after the last step");
  EXPECT_EQ(SaveCadence(10, 0).NextTry(20, 24), "training goes on, next try at step 24");
  EXPECT_EQ(SaveCadence(0, 300).NextTry(7, 30), "training goes on, next try within 5m 00s");
  EXPECT_EQ(SaveCadence(10, 300).NextTry(7, 30),
            "training goes on, next try at step 10 or within 5m 00s");
}

TEST(RamCadence, GivenInStepsItIsThat) {
  RamCadence cadence(3);
  EXPECT_TRUE(cadence.Due(3));
  EXPECT_FALSE(cadence.Due(4));
  EXPECT_TRUE(cadence.Due(6));
}

TEST(RamCadence, AdaptedItCostsOnePercentAtMost) {
  RamCadence cadence(0);
  EXPECT_FALSE(cadence.Due(1));
  cadence.Take(2.0, 0);
  EXPECT_FALSE(cadence.Due(1));
  cadence.Take(2.0, 0);
  EXPECT_TRUE(cadence.Due(2)) << "the first save measures";
  cadence.NoteBegun(2);
  cadence.Take(2.0, 0.1);
  EXPECT_EQ(cadence.every(), 5u);
  EXPECT_FALSE(cadence.Due(6));
  EXPECT_TRUE(cadence.Due(7));
  for (int i = 0; i < 100; ++i) cadence.Take(2.0, 0.01);
  EXPECT_EQ(cadence.every(), 1u);
}

}  // namespace
}  // namespace muster::rank
