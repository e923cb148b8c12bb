#include "worker/shim/local_attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

namespace muster::worker::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

LocalAttempt Running(bool speaks_link) {
  LocalAttempt attempt(7, 2, {0, 1}, speaks_link);
  attempt.Spawned(0, 100, 0);
  attempt.Spawned(1, 101, 0);
  attempt.SaidHello(0);
  attempt.SaidHello(1);
  return attempt;
}

TEST(LocalAttempt, FirstBadEndKillsTheOthersOnce) {
  LocalAttempt attempt = Running(true);
  attempt.Exited(1, 0, SIGSEGV, 5, {"boom"});
  EXPECT_THAT(attempt.Decide(10).kill, ElementsAre(0));
  EXPECT_THAT(attempt.Decide(11).kill, IsEmpty());
  attempt.Exited(0, 0, SIGKILL, 6, {});
  const v1::AttemptReport report = attempt.Report();
  EXPECT_FALSE(report.ranks(1).stopped_by_us());
  EXPECT_TRUE(report.ranks(0).stopped_by_us());
  EXPECT_EQ(report.state(), v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  EXPECT_TRUE(attempt.Decide(12).sweep);
  attempt.NoProcessLeft();
  EXPECT_EQ(attempt.Report().state(), v1::LOCAL_ATTEMPT_STATE_STOPPED);
  EXPECT_FALSE(attempt.Decide(13).sweep);
}

TEST(LocalAttempt, ExitsOfOneBatchAreNotOurDoing) {
  LocalAttempt attempt = Running(true);
  attempt.Exited(0, 0, SIGKILL, 5, {});
  attempt.Exited(1, 0, SIGKILL, 5, {});
  attempt.Decide(10);
  EXPECT_FALSE(attempt.Report().ranks(0).stopped_by_us());
  EXPECT_FALSE(attempt.Report().ranks(1).stopped_by_us());
}

TEST(LocalAttempt, EndsThatAreNotBadLeaveTheOthersAlone) {
  for (int exit_code : {0, kStoppedAsAskedExitCode}) {
    LocalAttempt attempt = Running(true);
    attempt.Exited(0, exit_code, 0, 5, {});
    EXPECT_THAT(attempt.Decide(10).kill, IsEmpty()) << exit_code;
    EXPECT_FALSE(attempt.Report().ranks(0).stopped_by_us()) << exit_code;
  }
}

TEST(LocalAttempt, NativeRanksThatSayNothingAreTold) {
  struct Case {
    const char* name;
    bool speaks_link;
    int64_t now_ms;
    bool hello;
    bool exited;
    int64_t still_ms;
  };
  const Case cases[] = {
      {"not for a moment", true, 5000 + kSilentFromMs - 1, false, false, 0},
      {"for a second", true, 5000 + kSilentFromMs, false, false, kSilentFromMs},
      {"a program need not speak", false, 9000, false, false, 0},
      {"it spoke", true, 9000, true, false, 0},
      {"it is gone", true, 9000, false, true, 0},
  };
  for (const Case& c : cases) {
    LocalAttempt attempt(7, 2, {4, 5}, c.speaks_link);
    attempt.Spawned(5, 101, 5000);
    if (c.hello) attempt.SaidHello(5);
    if (c.exited) attempt.Exited(5, 0, 0, 1, {});
    v1::AttemptReport report = attempt.Report();
    attempt.AddSilence(c.now_ms, &report);
    EXPECT_EQ(report.ranks(0).still_ms(), 0) << c.name << ": was never spawned";
    EXPECT_EQ(report.ranks(1).still_ms(), c.still_ms) << c.name;
  }
}

TEST(LocalAttempt, ProgramRunsWhenItLivesLongEnoughNativeWhenItSaysSo) {
  LocalAttempt program(7, 2, {0}, false);
  program.Spawned(0, 100, 1000);
  EXPECT_EQ(program.Decide(1000).next_ms, 1000 + kRunningAfterMs);
  EXPECT_EQ(program.Report().ranks(0).state(), v1::RANK_STATE_SPAWNED);
  program.Decide(1000 + kRunningAfterMs);
  EXPECT_EQ(program.Report().ranks(0).state(), v1::RANK_STATE_RUNNING);

  LocalAttempt native(7, 2, {0}, true);
  native.Spawned(0, 100, 1000);
  native.Decide(100000);
  EXPECT_EQ(native.Report().ranks(0).state(), v1::RANK_STATE_SPAWNED);
  native.SaidHello(0);
  EXPECT_EQ(native.Report().ranks(0).state(), v1::RANK_STATE_RUNNING);
}

TEST(LocalAttempt, StopAsksFirstAndKillsAfterTheGrace) {
  LocalAttempt attempt(7, 2, {0, 1}, false);
  attempt.Spawned(0, 100, 0);
  attempt.Spawned(1, 101, 0);
  attempt.SaidHello(0);
  attempt.StopOrdered(500, 1000);
  const Actions asked = attempt.Decide(1000);
  EXPECT_TRUE(asked.raise_stop);
  EXPECT_THAT(asked.terminate, ElementsAre(1)) << "the one without the link";
  EXPECT_THAT(asked.kill, IsEmpty());
  EXPECT_EQ(asked.next_ms, 1500);
  attempt.StopOrdered(500, 1400);  // the same order, repeated
  EXPECT_FALSE(attempt.Decide(1499).raise_stop);
  attempt.Exited(1, 0, SIGTERM, 5, {});
  EXPECT_THAT(attempt.Decide(1499).kill, IsEmpty()) << "ended as asked";
  EXPECT_THAT(attempt.Decide(1500).kill, ElementsAre(0));
  EXPECT_TRUE(attempt.Report().ranks(1).stopped_by_us());
}

TEST(LocalAttempt, StopWithoutGraceKillsAtOnceAlsoDuringAGrace) {
  LocalAttempt attempt = Running(true);
  attempt.StopOrdered(10000, 0);
  EXPECT_THAT(attempt.Decide(0).kill, IsEmpty());
  attempt.StopOrdered(0, 1);
  EXPECT_THAT(attempt.Decide(1).kill, ElementsAre(0, 1));
}

TEST(LocalAttempt, CrashDuringAGraceEndsIt) {
  LocalAttempt attempt = Running(true);
  attempt.StopOrdered(10000, 0);
  attempt.Decide(0);
  attempt.Exited(0, 0, SIGSEGV, 5, {});
  EXPECT_THAT(attempt.Decide(1).kill, ElementsAre(1));
}

TEST(LocalAttempt, RankThatCannotBeSpawnedFailsTheAttempt) {
  LocalAttempt attempt(7, 2, {0, 1, 2}, true);
  attempt.Spawned(0, 100, 0);
  attempt.NotSpawned(1, "no such file", 5);
  attempt.Skipped(2, 6);
  EXPECT_TRUE(attempt.Failed());
  EXPECT_THAT(attempt.Decide(1).kill, ElementsAre(0));
  EXPECT_EQ(attempt.Report().ranks(1).error(), "no such file");
  EXPECT_TRUE(attempt.Report().ranks(2).stopped_by_us());
}

}  // namespace
}  // namespace muster::worker::shim
