// Weights that a broken machine changed are found before they are saved, and the machine is named.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/commit.h"
#include "checkpoint/fingerprint.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "interchange/export.h"
#include "interchange/import.h"
#include "rank/checkpoint/agree.h"
#include "tests/unit/loop/job.h"
#include "trainer/loop/checkpoint_sections.h"
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
    Job job{.mesh = "data: 3", .save_every = 2, .global_batch = 9, .micro_batch = 3};
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
        EXPECT_FALSE(rank::SaidByAll(status));
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
    EXPECT_TRUE(rank::SaidByAll(rank.status())) << rank.status();
    EXPECT_THAT(std::string(rank.status().message()),
                AllOf(HasSubstr("ranks 0, 1 hold different weights"), HasSubstr("no majority")));
  }
  EXPECT_TRUE(checkpoint::ListCheckpoints(job.checkpoints)->empty());
}

TEST(Integrity, WithTensorParallelOnlyTheReplicasOfOnePartAreCompared) {
  TempFolder folder;
  Job job{.mesh = "data: 3, tensor: 2", .save_every = 2, .global_batch = 9, .micro_batch = 3};
  job.checkpoints = folder.path() + "/ck";
  EXPECT_TRUE(RunJob(job).ok());
  job.checkpoints = folder.path() + "/flipped";
  job.fail = Flip(3, 2);  // data 1, tensor 1
  const JobOutcome outcome = RunJob(job);
  EXPECT_THAT(std::string(outcome.ranks[3].status().message()), HasSubstr("rank 3 differ"));
  EXPECT_THAT(outcome.problems, Contains(HasSubstr("rank 3 differs from its replicas")));
}

// Between saves, in the first comparison after the flip.
TEST(Integrity, AFlippedBitBetweenSavesIsNamedWithinTheStepsAskedFor) {
  struct Case {
    bool zero;
    uint64_t flipped;
    const char* named;
  };
  // With ZeRO an update takes the weights from their owners, so a difference lasts for one step.
  for (const Case& test : {Case{false, 5, "step 6: "}, Case{false, 7, "step 9: "},
                           Case{false, 9, "step 9: "}, Case{true, 6, "step 6: "}}) {
    TempFolder folder;
    Job job{.mesh = "data: 3", .zero = test.zero, .steps = 20};
    job.compare_every = 3;
    job.global_batch = 9;
    job.micro_batch = 3;
    job.checkpoints = folder.path() + "/ck";
    job.fail = Flip(1, test.flipped);
    const JobOutcome outcome = RunJob(job);
    const std::string said(outcome.ranks[1].status().message());
    EXPECT_THAT(said, AllOf(HasSubstr(test.named), HasSubstr("silent data corruption"),
                            HasSubstr("rank 1 differ")))
        << test.flipped;
    EXPECT_THAT(outcome.problems, Contains(HasSubstr("rank 1 differs from its replicas")));
    EXPECT_TRUE(checkpoint::ListCheckpoints(job.checkpoints)->empty());
  }
}

TEST(Integrity, ComparingChangesNoBit) {
  TempFolder folder;
  Job job{.mesh = "data: 2, tensor: 2"};
  job.checkpoints = folder.path() + "/plain";
  ASSERT_TRUE(RunJob(job).ok());
  const auto plain = ReadTensors(CheckpointOf(job.checkpoints, 6));
  job.checkpoints = folder.path() + "/compared";
  job.compare_every = 1;
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, 6)), plain);
}

// What a checkpoint says of the weights is what they are, and any layout loads them.
TEST(Integrity, FingerprintsAreOfTheWholeTensorsInEveryLayout) {
  TempFolder folder;
  std::map<std::string, std::string> first;
  for (const char* mesh : {"data: 1", "data: 2", "tensor: 2", "data: 2, tensor: 2"}) {
    Job job{.mesh = mesh, .steps = 2};
    job.checkpoints = folder.path() + "/" + std::to_string(first.size()) + mesh;
    const JobOutcome outcome = RunJob(job);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    const std::string saved = CheckpointOf(job.checkpoints, 2);
    const auto manifest = checkpoint::ReadManifest(saved);
    const auto extra = nlohmann::json::parse(manifest->run.extra_json);
    size_t parameters = 0;
    for (const auto& [name, floats] : ReadTensors(saved)) {
      if (IsMoment(name)) continue;
      const checkpoint::Tensor* tensor = checkpoint::FindTensor(*manifest, name);
      const checkpoint::Box box = checkpoint::WholeTensor(name, tensor->dtype, tensor->shape);
      EXPECT_EQ(
          extra["fingerprints"][name],
          fmt::format("{:016x}", checkpoint::Fingerprint(box, std::as_bytes(std::span(floats)))))
          << mesh << " " << name;
      ++parameters;
    }
    EXPECT_EQ(parameters, extra["fingerprints"].size());
    // Another layout goes on from it.
    Job next{.mesh = "data: 2, tensor: 2", .steps = 3};
    next.checkpoints = job.checkpoints;
    EXPECT_TRUE(RunJob(next).ok()) << mesh;
  }
}

// A checkpoint whose files are in order, checksums and all, but whose weights are not those that
// were to be saved: as after a copy that went wrong in memory.
TEST(Integrity, WeightsThatAreNotTheSavedOnesAreSteppedOver) {
  TempFolder folder;
  Job job{.mesh = "data: 2", .steps = 4, .save_every = 2};
  job.checkpoints = folder.path() + "/ck";
  ASSERT_TRUE(RunJob(job).ok());
  const std::string newest = CheckpointOf(job.checkpoints, 4);
  const auto manifest = checkpoint::ReadManifest(newest);
  std::map<std::string, std::vector<float>> tensors = ReadTensors(newest);
  tensors.at("model.norm.weight")[3] += 1;
  std::filesystem::remove_all(newest);
  const auto again = checkpoint::PrepareCheckpointFolder(job.checkpoints, {4, manifest->attempt});
  std::vector<checkpoint::Slice> slices;
  for (const checkpoint::Tensor& tensor : manifest->tensors) {
    slices.push_back({checkpoint::WholeTensor(tensor.name, tensor.dtype, tensor.shape),
                      std::as_bytes(std::span(tensors.at(tensor.name)))});
  }
  const auto digest = checkpoint::WriteShard(*again, "w00000", slices);
  const auto forged = checkpoint::BuildManifest(4, manifest->attempt, manifest->job_uid,
                                                manifest->run, std::span(&*digest, 1));
  ASSERT_TRUE(checkpoint::WriteManifest(*again, *forged).ok());
  ASSERT_TRUE(checkpoint::Commit(*again, {4, manifest->attempt, 0, forged->sha256}).ok());

  job.steps = 6;
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(outcome.first()->first_step, 2u);
  EXPECT_THAT(outcome.problems,
              Contains(AllOf(HasSubstr("stepped over"), HasSubstr("model.norm.weight"))));
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
