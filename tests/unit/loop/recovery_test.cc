// Saves that fail, checkpoints that rot, workers that answer late: nothing is lost, one line says
// so.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "checkpoint/best.h"
#include "checkpoint/commit.h"
#include "checkpoint/store.h"
#include "rank/checkpoint/agree.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"
#include "tests/unit/rank_checkpoint/failing_files.h"
#include "trainer/loop/rank_groups.h"

namespace muster::trainer::loop {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class Recovery : public testing::Test {
 protected:
  // Six steps over two ranks, saved after 2, 4 and 6.
  Job SavingJob() const {
    return {.mesh = "data: 2", .save_every = 2, .checkpoints = folder_.path() + "/ck"};
  }
  std::map<std::string, std::vector<float>> Undisturbed() const {
    Job job = SavingJob();
    job.checkpoints = folder_.path() + "/undisturbed";
    EXPECT_TRUE(RunJob(job).ok());
    return ReadTensors(CheckpointOf(job.checkpoints, 6));
  }
  // A job that ran to step 5 with checkpoints of 2 and 4 (and 5).
  Job StoppedJob() const {
    Job job = SavingJob();
    FakeLink link(FakeLink::Commits::kPermitted);
    link.stop_after_steps = 5;
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome outcome = RunJob(job);
    EXPECT_TRUE(outcome.ok()) << outcome.Problems();
    job.link = nullptr;
    return job;
  }

  TempFolder folder_;
};

TEST_F(Recovery, AFailedSaveIsALineAndIsTriedAgainAtTheNextOne) {
  Job job = SavingJob();
  rank::FailingFiles files("step-0000000002");
  job.files = [&](int rank) -> checkpoint::FileSystem* {
    return rank == 1 ? static_cast<checkpoint::FileSystem*>(&files) : &checkpoint::PosixFiles();
  };
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(
      outcome.problems,
      ElementsAre(AllOf(HasSubstr("save of step 2 failed: rank 1: "), HasSubstr("no space left"),
                        HasSubstr("; training goes on, next try at step 4"))));
  EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, 6)), Undisturbed());
  EXPECT_FALSE(CheckpointOf(job.checkpoints, 4).empty());
}

TEST_F(Recovery, ALastSaveThatCannotSucceedIsAnError) {
  Job job = SavingJob();
  rank::FailingFiles files("step-");
  job.files = [&](int) -> checkpoint::FileSystem* { return &files; };
  const JobOutcome outcome = RunJob(job);
  for (const auto& rank : outcome.ranks) {
    ASSERT_FALSE(rank.ok());
    EXPECT_EQ(rank.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(rank.status().message()),
                HasSubstr("the last checkpoint (step 6) could not be committed"));
    EXPECT_TRUE(rank::SaidByAll(rank.status()));
  }
}

TEST_F(Recovery, ADamagedCheckpointIsSteppedOver) {
  const Job job = StoppedJob();
  FlipByte(CheckpointOf(job.checkpoints, 5));
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.problems, Contains(HasSubstr("step-0000000005.a1")));
  EXPECT_EQ(outcome.first()->first_step, 4u);
  EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, 6)), Undisturbed());
}

TEST_F(Recovery, DamageThatOnlyOneRankSeesTakesAllBackToTheOlderOne) {
  Job job = StoppedJob();
  rank::FailingFiles files("step-0000000005");
  files.damaged = true;
  job.files = [&](int rank) -> checkpoint::FileSystem* {
    return rank == 1 ? static_cast<checkpoint::FileSystem*>(&files) : &checkpoint::PosixFiles();
  };
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.problems,
              Contains(AllOf(HasSubstr("checkpoint stepped over: "), HasSubstr("rank 1: "),
                             HasSubstr("step-0000000005.a1"), HasSubstr("trying an older one"))));
  EXPECT_EQ(outcome.first()->first_step, 4u);
}

TEST_F(Recovery, WhenAllCheckpointsAreDamagedAPersonDecides) {
  const Job job = StoppedJob();
  for (uint64_t step : {2u, 4u, 5u}) FlipByte(CheckpointOf(job.checkpoints, step));
  const JobOutcome outcome = RunJob(job);
  for (const auto& rank : outcome.ranks) {
    EXPECT_EQ(rank.status().code(), absl::StatusCode::kDataLoss) << rank.status();
  }
}

TEST_F(Recovery, OnlyPermittedCheckpointsAreResumedFrom) {
  Job job = StoppedJob();
  job.permitted.emplace();
  const JobOutcome fresh = RunJob(job);
  ASSERT_TRUE(fresh.ok()) << fresh.Problems();
  EXPECT_EQ(fresh.first()->first_step, 0u);
  EXPECT_EQ(fresh.out[0], "starting from random weights");
}

TEST_F(Recovery, ChangedDataUnderARunningJobIsRefused) {
  Job job = StoppedJob();
  job.data = TestData(1);
  const JobOutcome outcome = RunJob(job);
  for (const auto& rank : outcome.ranks) {
    ASSERT_EQ(rank.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(rank.status().message()),
                AllOf(HasSubstr("the data changed under the running job"), HasSubstr("step 5")));
  }
}

TEST_F(Recovery, AnotherModelsCheckpointIsRefused) {
  Job job = StoppedJob();
  job.layers = 1;
  const JobOutcome outcome = RunJob(job);
  EXPECT_EQ(outcome.first().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(outcome.first().status().message()),
              HasSubstr("use the model it was saved from"));
}

TEST_F(Recovery, APermitThatComesLateDelaysOnlyTheCommit) {
  Job job = SavingJob();
  job.keep = 1;
  job.final_save_seconds = 5;
  FakeLink link(FakeLink::Commits::kPermittedLate);
  job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.problems, IsEmpty());
  EXPECT_THAT(link.requested, ElementsAre(2, 4, 6));
  EXPECT_THAT(link.done, ElementsAre(2, 4, 6));
  EXPECT_THAT(link.pruned, ElementsAre(Pair(2, 1), Pair(4, 1)));
  EXPECT_EQ(link.last.phase, static_cast<uint32_t>(MUSTER_PHASE_IDLE));
  EXPECT_EQ(link.last.step, 6u);
  EXPECT_EQ(link.last.target_steps, 6u);
  EXPECT_GT(link.last.first_eval_bits_per_byte, link.last.eval_bits_per_byte);
}

TEST_F(Recovery, WithoutAPermitNothingIsCommitted) {
  Job job = SavingJob();
  for (auto commits : {FakeLink::Commits::kRefused, FakeLink::Commits::kNeverAnswered}) {
    FakeLink link(commits);
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome outcome = RunJob(job);
    EXPECT_EQ(outcome.first().status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(link.done, IsEmpty());
    const auto entries = checkpoint::ListCheckpoints(job.checkpoints);
    ASSERT_TRUE(entries.ok()) << entries.status();
    for (const auto& entry : *entries) {
      EXPECT_EQ(entry.state, checkpoint::CheckpointState::kPartial);
    }
  }
}

TEST_F(Recovery, ASaveOrderIsFollowedOnce) {
  Job job = SavingJob();
  job.save_every = 0;
  FakeLink link(FakeLink::Commits::kPermitted);
  link.save_after_steps = 3;
  job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
  ASSERT_TRUE(RunJob(job).ok());
  EXPECT_THAT(link.done, ElementsAre(3, 6));
}

TEST_F(Recovery, EveryNthCheckpointStaysBesideTheNewest) {
  Job job = SavingJob();
  job.save_every = 1;
  job.keep = 1;
  job.keep_every = 2;
  job.steps = 7;
  job.final_save_seconds = 5;
  FakeLink link(FakeLink::Commits::kPermitted);
  job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
  ASSERT_TRUE(RunJob(job).ok());
  EXPECT_THAT(link.pruned, ElementsAre(Pair(1, 1), Pair(3, 1), Pair(5, 1)));
  std::vector<uint64_t> steps;
  const auto entries = checkpoint::ListCheckpoints(job.checkpoints);
  for (const auto& entry : *entries) steps.push_back(entry.id.step);
  EXPECT_THAT(steps, UnorderedElementsAre(2, 4, 6, 7));
}

TEST_F(Recovery, TheBestCheckpointStaysBesideTheNewest) {
  Job job = SavingJob();
  job.save_every = 1;
  job.keep = 1;
  job.keep_best = 1;
  job.steps = 7;  // the held-out loss is measured at 0, 3, 6 and 7
  job.final_save_seconds = 5;
  FakeLink link(FakeLink::Commits::kPermitted);
  job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
  ASSERT_TRUE(RunJob(job).ok());
  std::map<double, uint64_t> measured;  // by loss
  const auto entries = checkpoint::ListCheckpoints(job.checkpoints);
  for (const auto& entry : *entries) {
    const auto manifest = checkpoint::ReadManifest(entry.path);
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    const std::optional<double> loss = checkpoint::HeldOutLoss(manifest->run);
    ASSERT_TRUE(loss.has_value()) << "step " << entry.id.step;
    measured.emplace(*loss, entry.id.step);
  }
  // While the loss falls the newest is the best; a best one of before stays until then.
  EXPECT_EQ(measured.begin()->second, 7u);
  EXPECT_LE(entries->size(), 2u);
}

TEST_F(Recovery, TheClockOfRankZeroAloneMakesSavesBetweenTheOthers) {
  struct Case {
    const char* name;
    int save_every;
    const char* text;
    std::vector<uint64_t> steps;
  };
  // A step takes one second by the clock of rank 0, which stands still while one is made.
  for (const Case& test :
       {Case{"by time", 0, "2s", {3, 6, 9, 10}},
        Case{"by time and steps: each save begins the time anew", 4, "2s", {3, 4, 7, 8, 10}},
        Case{"a time that never comes", 4, "1h", {4, 8, 10}}}) {
    Job job = SavingJob();
    job.checkpoints = folder_.path() + "/" + test.text + std::to_string(test.save_every);
    job.steps = 10;
    job.save_every = test.save_every;
    job.save_every_text = test.text;
    FakeLink link(FakeLink::Commits::kPermitted);
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    job.seconds = [&](int rank) -> std::function<double()> {
      if (rank != 0) return [hurry = 0.0]() mutable { return hurry += 1e6; };
      return [&] { return static_cast<double>(link.last.step); };
    };
    const JobOutcome outcome = RunJob(job);
    ASSERT_TRUE(outcome.ok()) << test.name << outcome.Problems();
    EXPECT_EQ(link.done, test.steps) << test.name;
  }
}

TEST_F(Recovery, AFailedSaveSaysWhenTimeMakesTheNext) {
  Job job = SavingJob();
  job.save_every_text = "90s";
  rank::FailingFiles files("step-0000000002");
  job.files = [&](int) -> checkpoint::FileSystem* { return &files; };
  EXPECT_THAT(RunJob(job).problems, Contains(HasSubstr("next try at step 4 or within 90.0 s")));
}

TEST_F(Recovery, AFinishedJobHasNothingToDo) {
  Job job = SavingJob();
  ASSERT_TRUE(RunJob(job).ok());
  const JobOutcome again = RunJob(job);
  ASSERT_TRUE(again.ok()) << again.Problems();
  EXPECT_EQ(again.first()->step, 6u);
  EXPECT_THAT(again.out, ElementsAre("resumed from step 6 (step-0000000006.a1)", "done: 6 steps"));
}

TEST_F(Recovery, AModelThatTheMeshCannotShareIsNamed) {
  Job job = SavingJob();
  job.mesh = "data: 2, tensor: 8";
  const JobOutcome outcome = RunJob(job);
  EXPECT_EQ(outcome.first().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(outcome.first().status().message()), HasSubstr("heads"));
}

}  // namespace
}  // namespace muster::trainer::loop
