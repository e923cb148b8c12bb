// A real muster-shim with shell scripts as ranks.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "shim_fixture.h"
#include "worker/shim/cleanup.h"
#include "worker/shim/client.h"
#include "worker/shim/folder.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ShimTest, RanksRunWithTheirLogsAndEndWell) {
  TestNode node(root_, "n0");
  node.Start(Shell("echo out $MUSTER_RANK $WORLD_SIZE $SLURM_PROCID; echo err >&2"));
  ASSERT_TRUE(node.UntilStopped());
  for (uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(node.rank(rank).state(), v1::RANK_STATE_EXITED);
    EXPECT_EQ(node.rank(rank).exit_code(), 0);
    EXPECT_FALSE(node.rank(rank).stopped_by_us());
    const std::string number = std::to_string(rank);
    EXPECT_EQ(node.Log(rank, "stdout"), "out " + number + " 2 " + number + "\n");
    EXPECT_EQ(node.Log(rank, "stderr"), "err\n");
  }
  node.Exit();
  EXPECT_EQ(node.WaitForEnd(), 0);
  ExpectNoTraces(node);
  EXPECT_EQ(LastReport(node.folder())->state(), v1::LOCAL_ATTEMPT_STATE_STOPPED);
}

TEST_F(ShimTest, FailingRankTakesTheOthersAndIsNamedFirst) {
  TestNode node(root_, "n0");
  node.Start(Shell("if [ $RANK = 1 ]; then echo it broke >&2; exit 3; fi; exec sleep 1000"));
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_EQ(node.rank(1).exit_code(), 3);
  EXPECT_FALSE(node.rank(1).stopped_by_us());
  EXPECT_THAT(node.rank(1).last_lines(), ElementsAre("it broke"));
  EXPECT_EQ(node.rank(0).signal(), SIGKILL);
  EXPECT_TRUE(node.rank(0).stopped_by_us());
  EXPECT_LE(node.rank(1).exit_unix_us(), node.rank(0).exit_unix_us());
}

TEST_F(ShimTest, KilledRankTakesTheOthersWithAllTheirChildren) {
  TestNode node(root_, "n0");
  // A child in a session of its own, which no process group reaches.
  node.Start(Shell("setsid sleep 1000 & sleep 1000"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  ASSERT_EQ(kill(static_cast<pid_t>(node.rank(1).pid()), SIGKILL), 0);
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_EQ(node.rank(1).signal(), SIGKILL);
  EXPECT_FALSE(node.rank(1).stopped_by_us());
  EXPECT_TRUE(node.rank(0).stopped_by_us());
  EXPECT_TRUE(ProcessesInScope(*ScopeOf(node.folder())).empty());
}

TEST_F(ShimTest, StopWithGraceLetsProgramsEndThemselves) {
  TestNode node(root_, "n0");
  node.Start(Shell("trap 'echo saved; exit 0' TERM; while :; do sleep 0.02; done"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  node.Stop(50000);
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_EQ(node.rank(0).exit_code(), 0);
  EXPECT_EQ(node.rank(0).signal(), 0);
  EXPECT_EQ(node.Log(0, "stdout"), "saved\n");
}

// The rank is a shell that reads the order page, as docs/formats/rank_link.md has it.
TEST_F(ShimTest, OrdersToSaveReachThePageOfEveryRankOnce) {
  TestNode node(root_, "n0");
  node.Start(
      Shell("while :; do od -An -tu8 -j4112 -N8 /proc/self/fd/$MUSTER_PAGES_FD; "
            "sleep 0.02; done"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  EXPECT_EQ(node.report().save(), 0u);
  const auto order = [&](uint64_t save) {
    v1::WorkerToShim message;
    message.mutable_save()->set_save(save);
    node.Send(message);
  };
  const auto reads = [&](uint32_t rank, const std::string& number) {
    return node.Log(rank, "stdout").find(" " + number + "\n") != std::string::npos;
  };
  order(1);
  ASSERT_TRUE(node.Until([&] { return node.report().save() == 1; }));
  ASSERT_TRUE(node.Until([&] { return reads(0, "1") && reads(1, "1"); }));
  order(3);  // what the worker was told meanwhile, in one
  order(2);  // late
  ASSERT_TRUE(node.Until([&] { return reads(0, "3") && reads(1, "3"); }));
  node.Disconnect();
  node.Connect();
  ASSERT_TRUE(node.Until([&] { return node.report().save() == 3; })) << "the next worker hears it";
  EXPECT_FALSE(reads(0, "2"));
  node.Stop(0);
  ASSERT_TRUE(node.UntilStopped());
}

TEST_F(ShimTest, GraceEndsWithAKill) {
  TestNode node(root_, "n0");
  node.Start(Shell("trap '' TERM; while :; do sleep 0.02; done"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  node.Stop(30);
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_EQ(node.rank(0).signal(), SIGKILL);
  EXPECT_TRUE(node.rank(0).stopped_by_us());
  EXPECT_TRUE(node.rank(1).stopped_by_us());
}

TEST_F(ShimTest, RanksOutliveTheirWorkerAndTheNewestWorkerWins) {
  TestNode node(root_, "n0");
  node.Start(Shell("exec sleep 1000"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  const int64_t pid = node.rank(0).pid();
  node.Disconnect();
  node.Connect();
  const uint64_t before = node.report().report();
  ASSERT_TRUE(node.Until([&] { return node.report().report() > before; }));
  EXPECT_EQ(node.rank(0).pid(), pid);
  EXPECT_EQ(node.rank(0).state(), v1::RANK_STATE_RUNNING);

  const absl::StatusOr<int> newer = ConnectShim(node.folder());
  ASSERT_TRUE(newer.ok());
  EXPECT_FALSE(node.Until([&] { return false; })) << "the shim hangs up on the older one";
  EXPECT_FALSE(node.connected());
  close(*newer);
}

TEST_F(ShimTest, WithoutAWorkerForTooLongItEndsEverything) {
  TestNode node(root_, "n0");
  v1::ShimOrder order = Shell("exec sleep 1000");
  order.set_orphan_grace_ms(100);
  node.Start(order);
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  node.Disconnect();
  EXPECT_EQ(node.WaitForEnd(), 0);
  ExpectNoTraces(node);
  const absl::StatusOr<v1::AttemptReport> report = LastReport(node.folder());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->state(), v1::LOCAL_ATTEMPT_STATE_STOPPED);
  EXPECT_TRUE(report->ranks(0).stopped_by_us());
  EXPECT_FALSE(ShimAlive(node.folder()));
}

TEST_F(ShimTest, MissingProgramIsSaidInWords) {
  TestNode node(root_, "n0");
  node.Start(Order(1, 2, 0, {"/no/such/program"}));
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_THAT(node.rank(0).error(),
              HasSubstr("cannot start rank program /no/such/program: No such file or directory; "
                        "check"));
  EXPECT_EQ(node.rank(0).state(), v1::RANK_STATE_EXITED);
  EXPECT_FALSE(node.rank(0).stopped_by_us());
  EXPECT_TRUE(node.rank(1).stopped_by_us()) << "not even tried";
}

TEST_F(ShimTest, MissingWorkingDirIsSaidInWords) {
  TestNode node(root_, "n0");
  v1::ShimOrder order = Shell("true");
  ChangeGang(order, [](v1::GangOrder& gang) {
    gang.mutable_spec()->mutable_program()->set_working_dir("/no/such/folder");
  });
  node.Start(order);
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_THAT(node.rank(0).error(), HasSubstr("its working directory /no/such/folder"));
}

TEST_F(ShimTest, NativeRanksGetTheirJobAndResumeFiles) {
  TestNode node(root_, "n0");
  v1::ShimOrder order = Order(1, 1, 0, {});
  order.set_trainer_path("/bin/echo");
  ChangeGang(order, [](v1::GangOrder& gang) {
    gang.mutable_spec()->mutable_train()->set_steps(5);
    gang.mutable_spec()->mutable_checkpoint()->set_path("/ckpt");
    v1::CheckpointRef* resume = gang.add_resume();
    resume->set_step(120);
    resume->set_attempt(3);
    resume->set_manifest_sha256("\xab\x01");
  });
  node.Start(order);
  ASSERT_TRUE(node.UntilStopped());
  const std::string folder = std::filesystem::canonical(node.folder()).string();
  EXPECT_EQ(node.Log(0, "stdout"), "run --config " + folder + "/job.json --resume " + folder +
                                       "/resume.json --checkpoints /ckpt/test-7-abcdef "
                                       "--attempt 2\n");
  EXPECT_EQ(*ReadFile(folder + "/" + kResumeFile),
            R"([{"attempt":3,"manifest_sha256":"ab01","step":120}])");
  EXPECT_THAT(*ReadFile(folder + "/" + kJobFile), HasSubstr("\"steps\""));
}

TEST_F(ShimTest, AnAttemptRunsOnce) {
  TestNode node(root_, "n0");
  node.Start(Shell("true", 1));
  ASSERT_TRUE(node.UntilStopped());
  node.Exit();
  EXPECT_EQ(node.WaitForEnd(), 0);
  const absl::StatusOr<int> again = StartShim(MUSTER_SHIM, node.folder(), Shell("true", 1));
  ASSERT_TRUE(again.ok());
  int status = 0;
  ASSERT_EQ(waitpid(*again, &status, 0), *again);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(*ReadFile(node.folder() + "/" + kLogFile), HasSubstr("an attempt runs once"));
}

TEST_F(ShimTest, KilledShimTakesItsRanksAndCleanUpTakesTheRest) {
  TestNode node(root_, "n0");
  node.Start(Shell("setsid sleep 1000 & sleep 1000"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  EXPECT_TRUE(ShimAlive(node.folder()));
  ASSERT_EQ(kill(node.pid(), SIGKILL), 0);
  EXPECT_EQ(node.WaitForEnd(), -1);
  EXPECT_FALSE(ShimAlive(node.folder()));
  const absl::Status status = CleanUpAttempt(node.folder());
  EXPECT_TRUE(status.ok()) << status.message();
  ExpectNoTraces(node);
  EXPECT_TRUE(CleanUpAttempt(node.folder()).ok()) << "again";
  EXPECT_TRUE(CleanUpAttempt(root_ + "/never-was").ok());
}

}  // namespace
}  // namespace muster::worker::shim
