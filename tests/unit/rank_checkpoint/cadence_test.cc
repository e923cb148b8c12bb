// When saves are due: durable ones, and those in RAM.
#include <gtest/gtest.h>

#include "rank/checkpoint/asked_save.h"
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

TEST(SaveCadence, WhatWasAskedForIsTriedAgainSoonWhenItFails) {
  SaveCadence never(0, 0);
  never.NoteBegun(100);
  never.NoteAskedFailed(103);
  EXPECT_FALSE(never.TimeIsUp(112.9));
  EXPECT_TRUE(never.TimeIsUp(113));
  never.NoteBegun(113);
  EXPECT_FALSE(never.TimeIsUp(1e9));
  EXPECT_EQ(SaveCadence(0, 0).NextTry(7, 30, true), "training goes on, next try within 10.0 s");
  EXPECT_EQ(SaveCadence(10, 300).NextTry(7, 30, true),
            "training goes on, next try at step 10 or within 10.0 s");
}

TEST(AskedSave, IsBegunOnceForAllOrdersThatAreOpenAndAgainWhenItFails) {
  AskedSave asked;
  EXPECT_FALSE(asked.Due());
  asked.NoteBegun(3);  // by the cadence
  EXPECT_FALSE(asked.TakeFailure(3)) << "nobody asked for it";
  asked.Take(2);
  EXPECT_TRUE(asked.Due());
  asked.NoteBegun(5);
  EXPECT_FALSE(asked.Due()) << "two orders, one save";
  EXPECT_FALSE(asked.TakeFailure(0));
  EXPECT_FALSE(asked.TakeFailure(4)) << "another one failed";
  EXPECT_TRUE(asked.TakeFailure(5));
  EXPECT_FALSE(asked.TakeFailure(5)) << "once";
  EXPECT_FALSE(asked.Due()) << "not at once: when its time is up";
  EXPECT_TRUE(asked.Open());
  asked.NoteBegun(9);
  EXPECT_TRUE(asked.TakeFailure(9)) << "and again";
  asked.Take(3);
  asked.NoteBegun(12);
  EXPECT_FALSE(asked.TakeFailure(9)) << "there is a newer one on its way";
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
