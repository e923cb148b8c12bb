// The worker's core: what it does with orders and observations, as text.
#include <gmock/gmock.h>

#include <algorithm>
#include <functional>

#include "tests/unit/worker/core_fixture.h"

namespace muster::worker::core {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

using Lines = std::vector<std::string>;

TEST_F(CoreTest, StartSpawnsOnceAndReports) {
  EXPECT_THAT(Connect(), ElementsAre("hello []", "heartbeat []"));
  EXPECT_THAT(Start(7, 1), ElementsAre("open exchange 7.1 of 1", "live 7.1 [0]", "spawn 7.1",
                                       "report 7.1 ACTIVE"));
  EXPECT_THAT(Start(7, 1), ElementsAre("report 7.1 ACTIVE"));
  Feed(ShimConnected{Key(7, 1)});
  EXPECT_THAT(ShimReports(7, 1, false, v1::RANK_STATE_RUNNING),
              ElementsAre("live 7.1 [0]", "report 7.1 ACTIVE 0:RUNNING"));
}

TEST_F(CoreTest, ProgressWaitsForTheHeartbeatAStateDoesNot) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(ShimReports(7, 1, false, v1::RANK_STATE_RUNNING, 5), IsEmpty());
  EXPECT_THAT(Advance(500), ElementsAre("heartbeat [7.1 ACTIVE 0:RUNNING]"));
  EXPECT_EQ(core_.attempts().at(Key(7, 1)).report.ranks(0).progress().step(), 5u);
  EXPECT_THAT(ShimReports(7, 1, false, v1::RANK_STATE_EXITED),
              ElementsAre("live 7.1 []", "report 7.1 ACTIVE 0:EXITED"));
}

TEST_F(CoreTest, AMilestoneDoesNotWaitForTheHeartbeat) {
  Connect();
  Run(7, 1);
  const auto reports = [this](uint64_t step, uint32_t milestones) {
    FromShim from{Key(7, 1), {}};
    from.message.mutable_report()->set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
    v1::RankReport& rank = *from.message.mutable_report()->add_ranks();
    rank.set_state(v1::RANK_STATE_RUNNING);
    rank.mutable_progress()->set_step(step);
    rank.set_milestones(milestones);
    return Feed(std::move(from));
  };
  EXPECT_THAT(reports(40, 0), IsEmpty());
  EXPECT_THAT(reports(41, 1), Contains("report 7.1 ACTIVE 0:RUNNING"));
  EXPECT_THAT(reports(45, 1), IsEmpty());
  EXPECT_THAT(reports(50, 2), Contains("report 7.1 ACTIVE 0:RUNNING"));
}

TEST_F(CoreTest, ASaveInTroubleDoesNotWaitForTheHeartbeat) {
  Connect();
  Run(7, 1);
  const auto reports = [this](const std::string& trouble) {
    FromShim from{Key(7, 1), {}};
    from.message.mutable_report()->set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
    v1::RankReport& rank = *from.message.mutable_report()->add_ranks();
    rank.set_state(v1::RANK_STATE_RUNNING);
    if (!trouble.empty()) rank.add_save_troubles()->set_text(trouble);
    return Feed(std::move(from));
  };
  EXPECT_THAT(reports(""), IsEmpty());
  EXPECT_THAT(reports("full"), Contains("report 7.1 ACTIVE 0:RUNNING"));
  EXPECT_THAT(reports("full"), IsEmpty());
  EXPECT_THAT(reports(""), Contains("report 7.1 ACTIVE 0:RUNNING"));
}

TEST_F(CoreTest, ReportedUntilReleasedThenShimEndsAndFolderGoes) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(ShimReports(7, 1, true, v1::RANK_STATE_EXITED),
              ElementsAre("close exchange 7.1", "live 7.1 []", "report 7.1 STOPPED 0:EXITED"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Advance(500), ElementsAre("heartbeat [7.1 STOPPED 0:EXITED]"));
  }
  EXPECT_THAT(Release(7, 1), ElementsAre("shim 7.1: exit"));
  EXPECT_THAT(Advance(500), ElementsAre("heartbeat []"));
  EXPECT_THAT(Feed(ShimGone{Key(7, 1)}), ElementsAre("remove folder 7.1"));
  EXPECT_TRUE(core_.attempts().empty());
}

TEST_F(CoreTest, ReportNumbersGrowWithinAndAcrossLives) {
  Connect();
  Run(7, 1);
  Advance(500);
  const auto number = [this] {
    return std::get<SendToCoordinator>(last_.back()).message.heartbeat().attempts(0).report();
  };
  const uint64_t first = number();
  EXPECT_EQ(first >> 32, 3u);  // the incarnation
  Advance(500);
  EXPECT_GT(number(), first);
}

TEST_F(CoreTest, StopIsForwardedAndOnlyAShorterGraceIsNews) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(Stop(7, 1, 5000), Contains("shim 7.1: stop grace=5000"));
  EXPECT_THAT(Stop(7, 1, 5000), ElementsAre("report 7.1 ACTIVE 0:RUNNING"));
  EXPECT_THAT(Stop(7, 1, 0), Contains("shim 7.1: stop grace=0"));
  Feed(ShimDisconnected{Key(7, 1)});
  EXPECT_THAT(Feed(ShimConnected{Key(7, 1)}), ElementsAre("shim 7.1: stop grace=0"));
}

TEST_F(CoreTest, StopBeforeTheShimConnectsIsSentWhenItDoes) {
  Connect();
  Start(7, 1);
  EXPECT_THAT(Stop(7, 1), ElementsAre("report 7.1 ACTIVE"));
  EXPECT_THAT(Feed(ShimConnected{Key(7, 1)}), ElementsAre("shim 7.1: stop grace=0"));
}

TEST_F(CoreTest, StopOfAnUnknownAttemptReportsStoppedUntilReleased) {
  Connect();
  EXPECT_THAT(Stop(9, 4), ElementsAre("report 9.4 STOPPED"));
  EXPECT_THAT(Start(9, 4), ElementsAre("report 9.4 STOPPED"));  // a late order starts nothing
  EXPECT_THAT(Advance(500), ElementsAre("heartbeat [9.4 STOPPED]"));
  EXPECT_THAT(Release(9, 4), IsEmpty());
  EXPECT_THAT(Advance(500), ElementsAre("heartbeat []"));
  EXPECT_THAT(Start(9, 4), ElementsAre("report 9.4 STOPPED"));
}

TEST_F(CoreTest, NewerAttemptStopsTheOlderAndStartsAfterIt) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(Start(7, 2), ElementsAre("shim 7.1: stop grace=0", "report 7.1 ACTIVE 0:RUNNING",
                                       "report 7.2 ACTIVE"));
  EXPECT_THAT(
      ShimReports(7, 1, true, v1::RANK_STATE_EXITED),
      ElementsAre("close exchange 7.1", "live 7.1 []", "report 7.1 STOPPED 0:EXITED",
                  "open exchange 7.2 of 1", "live 7.2 [0]", "spawn 7.2", "report 7.2 ACTIVE"));
}

TEST_F(CoreTest, OfSeveralWaitingAttemptsOnlyTheNewestStarts) {
  Connect();
  Run(7, 1);
  Start(7, 2);
  EXPECT_THAT(Start(7, 3), Contains("report 7.2 STOPPED"));
  const Lines lines = ShimReports(7, 1, true, v1::RANK_STATE_EXITED);
  EXPECT_THAT(lines, Contains("spawn 7.3"));
  EXPECT_THAT(lines, Not(Contains("spawn 7.2")));
}

TEST_F(CoreTest, OlderAttemptIsRefusedWhileANewerIsHere) {
  Connect();
  Run(7, 2);
  EXPECT_THAT(Start(7, 1), ElementsAre("report 7.1 STOPPED"));
}

TEST_F(CoreTest, OtherJobsDoNotWait) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(Start(8, 1), Contains("spawn 8.1"));
}

TEST_F(CoreTest, DeadShimIsCleanedThenItsRanksCountAsKilled) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(Feed(ShimGone{Key(7, 1)}), ElementsAre("clean up 7.1"));
  EXPECT_THAT(Advance(500), ElementsAre("heartbeat [7.1 ACTIVE 0:RUNNING]"));
  EXPECT_THAT(Feed(CleanedUp{Key(7, 1), {}}),
              ElementsAre("close exchange 7.1", "live 7.1 []",
                          "report 7.1 STOPPED 0:EXITED/sig9(shim died)"));
  EXPECT_THAT(Release(7, 1), ElementsAre("clean up 7.1"));
  EXPECT_THAT(Feed(CleanedUp{Key(7, 1), {}}), ElementsAre("remove folder 7.1"));
}

TEST_F(CoreTest, WhatADeadShimWroteDownCounts) {
  Connect();
  Run(7, 1);
  Feed(ShimGone{Key(7, 1)});
  v1::AttemptReport last;
  last.add_ranks()->set_rank(0);
  last.mutable_ranks(0)->set_state(v1::RANK_STATE_EXITED);
  EXPECT_THAT(Feed(CleanedUp{Key(7, 1), last}), Contains("report 7.1 STOPPED 0:EXITED"));
}

TEST_F(CoreTest, ShimThatDiesBeforeItsFirstReportLosesEveryRankOfTheNode) {
  Connect();
  Start(7, 1, {"n2", "n1", "n1"});
  Feed(ShimGone{Key(7, 1)});
  EXPECT_THAT(Feed(CleanedUp{Key(7, 1), {}}),
              Contains("report 7.1 STOPPED 1:EXITED/sig9(shim died) 2:EXITED/sig9(shim died)"));
}

TEST_F(CoreTest, SpawnFailureIsReportedWithItsReason) {
  Connect();
  Start(7, 1);
  EXPECT_THAT(Feed(SpawnFailed{Key(7, 1), "disk full"}),
              Contains("report 7.1 STOPPED 0:EXITED(disk full)"));
}

TEST_F(CoreTest, ReleaseOfALivingAttemptStopsItFirst) {
  Connect();
  Run(7, 1);
  EXPECT_THAT(Release(7, 1), Contains("shim 7.1: stop grace=0"));
  EXPECT_THAT(ShimReports(7, 1, true, v1::RANK_STATE_EXITED), Contains("shim 7.1: exit"));
}

TEST_F(CoreTest, ShimThatDoesNotEndIsKilled) {
  Connect();
  Run(7, 1);
  ShimReports(7, 1, true, v1::RANK_STATE_EXITED);
  Release(7, 1);
  EXPECT_THAT(Advance(10'000), Contains("clean up 7.1"));
  EXPECT_THAT(Feed(ShimGone{Key(7, 1)}), IsEmpty());
  EXPECT_THAT(Feed(CleanedUp{Key(7, 1), {}}), ElementsAre("remove folder 7.1"));
}

TEST_F(CoreTest, LowerEpochIsRefusedHigherIsRecordedFirst) {
  Connect();
  epoch_ = 5;
  EXPECT_EQ(Start(7, 1).front(), "record epoch 5");
  epoch_ = 4;
  EXPECT_THAT(Start(8, 1), ElementsAre("drop stream"));
  EXPECT_EQ(core_.attempts().size(), 1u);
}

TEST_F(CoreTest, ClusterIsAdoptedOnceAndAnotherEndsTheWorker) {
  core_ = WorkerCore(Identity(""));
  EXPECT_THAT(Connect(), Contains("record cluster c1"));
  v1::CoordinatorMessage message = Order();
  message.mutable_welcome()->set_cluster_id("c2");
  EXPECT_THAT(Feed(FromCoordinator{message}), ElementsAre("end worker"));
}

TEST_F(CoreTest, HelloTellsEveryAttemptNotYetReleased) {
  Connect();
  Run(7, 1);
  Run(8, 1);
  ShimReports(8, 1, true, v1::RANK_STATE_EXITED);
  Feed(StreamClosed{});
  ShimReports(7, 1, false, v1::RANK_STATE_EXITED);  // unsaid while nobody listens
  EXPECT_THAT(Connect(), Contains("hello [7.1 ACTIVE 0:EXITED, 8.1 STOPPED 0:EXITED]"));
}

TEST_F(CoreTest, CommitMessagesAreRepeatedUntilAnswered) {
  Connect();
  Run(7, 1);
  FromShim request{Key(7, 1), {}};
  request.message.mutable_commit_request()->mutable_checkpoint()->set_step(20);
  EXPECT_THAT(Feed(request), ElementsAre("commit? step 20"));
  Feed(StreamClosed{});
  EXPECT_THAT(Connect(), Contains("commit? step 20"));
  v1::CoordinatorMessage reply = Order();
  reply.mutable_commit_reply()->set_job_id(7);
  reply.mutable_commit_reply()->set_attempt(1);
  reply.mutable_commit_reply()->set_step(20);
  EXPECT_THAT(Feed(FromCoordinator{reply}), ElementsAre("shim 7.1: permit step 20"));
  FromShim done{Key(7, 1), {}};
  done.message.mutable_commit_done()->mutable_checkpoint()->set_step(20);
  EXPECT_THAT(Feed(done), ElementsAre("committed step 20"));
  EXPECT_THAT(Advance(6000), Contains("committed step 20"));
  v1::CoordinatorMessage ack = Order();
  ack.mutable_commit_ack()->set_job_id(7);
  ack.mutable_commit_ack()->set_attempt(1);
  ack.mutable_commit_ack()->set_step(20);
  EXPECT_THAT(Feed(FromCoordinator{ack}), ElementsAre("shim 7.1: ack step 20"));
  Feed(StreamClosed{});
  const Lines again = Connect();
  EXPECT_THAT(again, Not(Contains("committed step 20")));
  EXPECT_THAT(again, Not(Contains("commit? step 20")));
}

TEST_F(CoreTest, CommitAskedWhileDisconnectedIsSentLater) {
  Connect();
  Run(7, 1);
  Feed(StreamClosed{});
  FromShim request{Key(7, 1), {}};
  request.message.mutable_commit_request()->mutable_checkpoint()->set_step(20);
  EXPECT_THAT(Feed(request), IsEmpty());
  EXPECT_THAT(Connect(), Contains("commit? step 20"));
}

TEST_F(CoreTest, TestIsMadeOnceAndReportedUntilAcknowledged) {
  Connect();
  v1::CoordinatorMessage order = Order();
  order.mutable_test()->set_test(4);
  EXPECT_EQ(Feed(FromCoordinator{order}), Lines({"start test 4"}));
  EXPECT_EQ(Feed(FromCoordinator{order}), Lines({})) << "it runs already";
  EXPECT_EQ(Feed(TestDone{3, true, "late"}), Lines({})) << "of an earlier order";
  EXPECT_EQ(Feed(TestDone{4, false, "disk: full"}), Lines({"test 4 failed: disk: full"}));
  EXPECT_EQ(Feed(FromCoordinator{order}), Lines({"test 4 failed: disk: full"}));
  Feed(StreamClosed{});
  const Lines again = Connect();
  EXPECT_EQ(std::count(again.begin(), again.end(), "test 4 failed: disk: full"), 1);
  v1::CoordinatorMessage ack = Order();
  ack.mutable_test_ack()->set_test(3);
  EXPECT_EQ(Feed(FromCoordinator{ack}), Lines({})) << "of another test";
  EXPECT_EQ(std::count_if(again.begin(), again.end(),
                          [](const std::string& line) { return line.rfind("start", 0) == 0; }),
            0);
  ack.mutable_test_ack()->set_test(4);
  Feed(FromCoordinator{ack});
  Feed(StreamClosed{});
  const Lines silent = Connect();
  EXPECT_EQ(std::count(silent.begin(), silent.end(), "test 4 failed: disk: full"), 0);
}

TEST_F(CoreTest, NewerTestTakesThePlaceOfTheOneThatRuns) {
  Connect();
  v1::CoordinatorMessage order = Order();
  order.mutable_test()->set_test(4);
  Feed(FromCoordinator{order});
  order.mutable_test()->set_test(5);
  EXPECT_EQ(Feed(FromCoordinator{order}), Lines({"start test 5"}));
  EXPECT_EQ(Feed(TestDone{4, true, "fine"}), Lines({}));
  EXPECT_EQ(Feed(TestDone{5, true, "fine"}), Lines({"test 5 passed: fine"}));
}

TEST_F(CoreTest, WhatTheMemoryKeepsIsAskedAboutOnceTheAttemptIsGone) {
  const auto asked = [this] {
    Advance(500);
    Lines uids;
    for (const Action& action : last_) {
      const auto* sent = std::get_if<SendToCoordinator>(&action);
      if (sent == nullptr) continue;
      for (const std::string& uid : sent->message.heartbeat().vault_jobs()) uids.push_back(uid);
    }
    return uids;
  };
  Connect();
  v1::CoordinatorMessage start = Order();
  start.mutable_start()->set_job_id(7);
  start.mutable_start()->set_job_uid("gpt-7-ab");
  start.mutable_start()->set_attempt(2);
  start.mutable_start()->mutable_share()->set_node("n1");
  start.mutable_start()->mutable_share()->set_ranks(1);
  Feed(FromCoordinator{start});
  Feed(VaultHolds{{"gpt-5-ab", "gpt-7-ab"}});
  EXPECT_EQ(asked(), Lines({"gpt-5-ab"}));
  v1::CoordinatorMessage drop = Order();
  drop.mutable_drop_vault()->add_job_uids("gpt-5-ab");
  drop.mutable_drop_vault()->add_job_uids("gpt-7-ab");
  EXPECT_EQ(Feed(FromCoordinator{drop}), Lines({"drop vault of gpt-5-ab"}))
      << "an attempt is here that may go on from the other";
  Feed(VaultHolds{{"gpt-7-ab"}});
  EXPECT_EQ(asked(), Lines({}));
  Feed(ShimConnected{Key(7, 2)});
  ShimReports(7, 2, true, v1::RANK_STATE_EXITED);
  Release(7, 2);
  Feed(ShimGone{Key(7, 2)});
  EXPECT_EQ(asked(), Lines({"gpt-7-ab"}));
  EXPECT_EQ(asked(), Lines({"gpt-7-ab"})) << "until there is an answer";
}

TEST_F(CoreTest, EndingSaysGoodbyeToACoordinatorThatListens) {
  EXPECT_EQ(Feed(Ending{"signal 15"}), Lines({}));
  Connect();
  EXPECT_EQ(Feed(Ending{"signal 15"}), Lines({"goodbye: signal 15"}));
}

TEST_F(CoreTest, ExchangeGoesToTheWorkerOfTheFirstNode) {
  Connect();
  Start(7, 1, {"n2", "n1"});
  FromShim from{Key(7, 1), {}};
  from.message.mutable_exchange()->set_key("pmix");
  EXPECT_THAT(Feed(from), ElementsAre("exchange 7.1 node 1 at n2:1"));
  Start(8, 1, {"n1", "n2"});
  from.key = Key(8, 1);
  EXPECT_THAT(Feed(from), ElementsAre("exchange 8.1 node 0 at here"));
  ExchangeDone done{Key(8, 1), {}};
  done.result.add_blobs("a");
  EXPECT_THAT(Feed(done), ElementsAre("shim 8.1: exchange result blobs=1 error=\"\""));
  from.message.mutable_exchange_over()->add_blobs("a");
  EXPECT_THAT(Feed(from), ElementsAre("exchange 8.1 over blobs=1"));
}

TEST_F(CoreTest, LifeBeginsWithWhatTheFoldersSay) {
  AttemptFound living{Key(7, 1), {}, {}};
  living.start.set_job_id(7);
  living.start.set_attempt(1);
  living.start.mutable_share()->set_node("n1");
  living.start.mutable_share()->set_ranks(1);
  Feed(living);
  EXPECT_FALSE(core_.IsSettled());
  AttemptFound ended = living;
  ended.key = Key(8, 1);
  ended.last.emplace().set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  Feed(ended);
  Feed(ShimConnected{Key(7, 1)});
  ShimReports(7, 1, false, v1::RANK_STATE_RUNNING);
  EXPECT_TRUE(core_.IsSettled());
  EXPECT_THAT(Connect(), Contains("hello [7.1 ACTIVE 0:RUNNING, 8.1 STOPPED]"));
  EXPECT_THAT(Start(7, 1), ElementsAre("report 7.1 ACTIVE 0:RUNNING"));
}

// Phases by letter: - unknown, W waiting, S starting, R running, C cleaning, T stopped, L
// releasing.
class EveryPhase : public CoreTest {
 protected:
  void Enter(char phase) {
    core_ = WorkerCore(Identity("c1"));
    Connect();
    if (phase == '-') return;
    if (phase == 'W') Run(7, 1);
    Start(7, 2);
    if (phase == 'W' || phase == 'S') return;
    Feed(ShimConnected{Key(7, 2)});
    ShimReports(7, 2, false, v1::RANK_STATE_RUNNING);
    if (phase == 'R') return;
    if (phase == 'C') {
      Feed(ShimGone{Key(7, 2)});
      return;
    }
    ShimReports(7, 2, true, v1::RANK_STATE_EXITED);
    if (phase == 'L') Release(7, 2);
  }

  char Phase() const {
    const auto found = core_.attempts().find(Key(7, 2));
    if (found == core_.attempts().end()) return '-';
    switch (found->second.phase) {
      case AttemptPhase::kWaiting:
        return 'W';
      case AttemptPhase::kStarting:
        return 'S';
      case AttemptPhase::kRunning:
        return 'R';
      case AttemptPhase::kCleaning:
        return 'C';
      case AttemptPhase::kStopped:
        return 'T';
      case AttemptPhase::kReleasing:
        return 'L';
    }
    return '?';
  }
};

TEST_F(EveryPhase, TakesEveryInputAsTheTableSays) {
  const std::string phases = "-WSRCTL";
  const struct {
    const char* name;
    std::function<Lines()> input;
    const char* next;  // under each phase
  } table[] = {
      {"start", [&] { return Start(7, 2); }, "SWSRCTL"},
      {"stop", [&] { return Stop(7, 2); }, "TTSRCTL"},
      {"release", [&] { return Release(7, 2); }, "--SRCLL"},
      {"shim connected", [&] { return Feed(ShimConnected{Key(7, 2)}); }, "-WSRCTL"},
      {"shim disconnected", [&] { return Feed(ShimDisconnected{Key(7, 2)}); }, "-WSRCTL"},
      {"shim gone", [&] { return Feed(ShimGone{Key(7, 2)}); }, "-WCCCT-"},
      {"shim: active", [&] { return ShimReports(7, 2, false, v1::RANK_STATE_RUNNING, 9); },
       "-WRRCTL"},
      {"shim: stopped", [&] { return ShimReports(7, 2, true, v1::RANK_STATE_EXITED); }, "-WTTCTL"},
      {"cleaned up",
       [&] {
         return Feed(CleanedUp{Key(7, 2), {}});
       },
       "-WSRTT-"},
      {"spawn failed",
       [&] {
         return Feed(SpawnFailed{Key(7, 2), "x"});
       },
       "-WTRCTL"},
      {"tick", [&] { return Advance(500); }, "-WSRCTL"},
      {"stream closed", [&] { return Feed(StreamClosed{}); }, "-WSRCTL"},
  };
  for (const auto& row : table) {
    for (size_t i = 0; i < phases.size(); ++i) {
      SCOPED_TRACE(std::string(row.name) + " in phase " + phases[i]);
      Enter(phases[i]);
      ASSERT_EQ(Phase(), phases[i]);
      const Lines lines = row.input();
      EXPECT_EQ(Phase(), row.next[i]);
      const bool spawns = std::count(lines.begin(), lines.end(), "spawn 7.2") > 0;
      EXPECT_EQ(spawns, phases[i] == '-' && row.next[i] == 'S');
    }
  }
}

}  // namespace
}  // namespace muster::worker::core
