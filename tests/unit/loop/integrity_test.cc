// Weights that a broken machine changed are found before they are saved, and the machine is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/store.h"
#include "interchange/export.h"
#include "interchange/import.h"
#include "tests/unit/loop/job.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/loop/replica_check.h"

namespace muster::trainer::loop {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

TEST(JudgeReplicas, FollowsTheMajority) {
  const struct {
    const char* name;
    std::vector<uint64_t> hashes;
    bool equal;
    std::vector<size_t> odd;
  } cases[] = {
      {"one alone", {7}, true, {}},
      {"all equal", {7, 7, 7}, true, {}},
      {"the first is odd", {1, 7, 7}, false, {0}},
      {"the last is odd", {7, 7, 7, 2}, false, {3}},
      {"two are odd in unlike ways", {7, 1, 7, 2, 7}, false, {1, 3}},
      {"two that differ", {1, 2}, false, {}},
      {"two against two", {1, 1, 2, 2}, false, {}},
      {"all differ", {1, 2, 3}, false, {}},
  };
  for (const auto& c : cases) {
    const ReplicaVerdict verdict = JudgeReplicas(c.hashes);
    EXPECT_EQ(verdict.equal, c.equal) << c.name;
    EXPECT_EQ(verdict.odd, c.odd) << c.name;
  }
}

FailInjection Flip(int rank, uint64_t step) {
  FailInjection fail;
  fail.rank = rank;
  fail.step = step;
  fail.how = FailInjection::How::kFlip;
  return fail;
}

TEST(Integrity, TheOddOneOutIsNamedAndNothingOfItIsSaved) {
  for (const int odd : {0, 1, 2}) {
    TempFolder folder;
    Job job{.mesh = "data: 3", .global_batch = 9, .save_every = 2};
    job.micro_batch = 3;
    job.checkpoints = folder.path() + "/ck";
    job.fail = Flip(odd, 4);
    const JobOutcome outcome = RunJob(job);
    for (int rank = 0; rank < 3; ++rank) {
      const absl::Status status = outcome.ranks[static_cast<size_t>(rank)].status();
      ASSERT_FALSE(status.ok()) << rank;
      const std::string said(status.message());
      if (rank == odd) {
        EXPECT_THAT(said, AllOf(HasSubstr("silent data corruption"), HasSubstr("step 4"),
                                HasSubstr("rank " + std::to_string(odd)), HasSubstr(".weight")));
        EXPECT_FALSE(SaidByAll(status));
      } else {
        EXPECT_EQ(said.find("silent data corruption"), std::string::npos) << said;
      }
    }
    const auto saved = checkpoint::ListCheckpoints(job.checkpoints);
    ASSERT_EQ(saved->size(), 1u) << "odd " << odd;
    EXPECT_EQ((*saved)[0].id.step, 2u);
  }
}

TEST(Integrity, OfTwoThatDifferNeitherIsPreferred) {
  TempFolder folder;
  Job job{.mesh = "data: 2", .save_every = 2};
  job.checkpoints = folder.path() + "/ck";
  job.fail = Flip(1, 2);
  const JobOutcome outcome = RunJob(job);
  for (const auto& rank : outcome.ranks) {
    EXPECT_TRUE(SaidByAll(rank.status())) << rank.status();
    EXPECT_THAT(std::string(rank.status().message()),
                AllOf(HasSubstr("ranks 0, 1 hold different weights"), HasSubstr("no majority")));
  }
  EXPECT_TRUE(checkpoint::ListCheckpoints(job.checkpoints)->empty());
}

TEST(Integrity, WithTensorParallelOnlyTheReplicasOfOnePartAreCompared) {
  TempFolder folder;
  Job job{.mesh = "data: 3, tensor: 2", .global_batch = 9, .save_every = 2};
  job.micro_batch = 3;
  job.checkpoints = folder.path() + "/ck";
  EXPECT_TRUE(RunJob(job).ok());
  job.checkpoints = folder.path() + "/flipped";
  job.fail = Flip(3, 2);  // data 1, tensor 1
  const JobOutcome outcome = RunJob(job);
  EXPECT_THAT(std::string(outcome.ranks[3].status().message()), HasSubstr("rank 3 differ"));
  EXPECT_THAT(outcome.problems, Contains(HasSubstr("rank 3 differs from its replicas")));
}

// A model that went out and came back trains on from where it was.
TEST(Interchange, AnImportedModelBeginsWithTheSameWeightsAndFreshMoments) {
  TempFolder folder;
  Job job{.mesh = "data: 2, tensor: 2"};
  job.checkpoints = folder.path() + "/first";
  ASSERT_TRUE(RunJob(job).ok());
  const std::string trained = CheckpointOf(job.checkpoints, 6);
  ASSERT_TRUE(interchange::ExportLlama(trained, folder.path() + "/hf", {}).ok());
  const auto imported = interchange::ImportLlama(folder.path() + "/hf", folder.path() + "/in", {});
  ASSERT_TRUE(imported.ok()) << imported.status();
  Job next{.mesh = "data: 2"};
  next.checkpoints = folder.path() + "/second";
  next.init_from = imported->path;
  const JobOutcome outcome = RunJob(next);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.out, Contains(HasSubstr("resumed from step 0 (step-0000000000.a0)")));
  EXPECT_EQ(outcome.first()->first_step, 0u);
  EXPECT_EQ(outcome.first()->step, 6u);
  // Its own next checkpoints are whole again: a job that goes on from them needs no import.
  EXPECT_TRUE(
      ReadTensors(CheckpointOf(next.checkpoints, 6)).contains("adamw.exp_avg.model.norm.weight"));
}

}  // namespace
}  // namespace muster::trainer::loop
