// Going on from any mix of what nodes keep in memory and what storage has, in another layout than
// the one that saved it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/commit.h"
#include "tests/unit/loop/ram_job.h"

namespace muster::trainer::loop {
namespace {

using testing::Contains;
using testing::HasSubstr;

class MixedResume : public FourRanks {
 protected:
  // Four ranks on two nodes, each with a vault of its own.
  std::string Node(int rank) const { return vault() + (rank < 2 ? "/one" : "/two"); }
  std::function<rank::VaultOptions(int)> TwoNodes() const {
    return [this](int rank) { return rank::VaultOptions{Node(rank), 1ull << 30, 0, false}; };
  }
  void MakeNodes() {
    std::filesystem::create_directory(Node(0));
    std::filesystem::create_directory(Node(2));
  }

  // The state after step 7, saved by a run that was never disturbed.
  std::map<std::string, std::vector<float>> StateAfterSeven() {
    Job job = job_;
    job.save_every = 7;
    job.keep = 0;
    job.checkpoints = checkpoints("undisturbed");
    const JobOutcome outcome = RunJob(job);
    EXPECT_TRUE(outcome.ok()) << outcome.Problems();
    return ReadTensors(CheckpointOf(job.checkpoints, 7));
  }

  // Step 7 is committed, all slots hold it, and the run ends there.
  void CommitSeven() {
    MakeNodes();
    FakeLink link(FakeLink::Commits::kPermitted);
    link.stop_after_steps = 7;
    Job job = job_;
    job.vault = TwoNodes();
    job.checkpoints = checkpoints("run");
    job.attempt = 1;
    job.save_every = 3;
    job.keep = 0;
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome outcome = RunJob(job);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    ASSERT_THAT(link.done, Contains(7u));
    for (int rank = 0; rank < 4; ++rank) {
      ASSERT_TRUE(SealedOf(Node(rank), rank).contains({1, 7})) << "rank " << rank;
    }
  }
  void RemoveSlots(int rank) {
    for (const char letter : checkpoint::kSlotLetters) {
      std::filesystem::remove(SlotPath(Node(rank), rank, letter));
    }
  }
  void DamageStored(uint64_t step, int writer) {
    const std::string file = CheckpointOf(checkpoints("run"), step) + "/data/" +
                             checkpoint::WriterName(static_cast<uint64_t>(writer)) + ".safetensors";
    std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
    const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(file) / 2);
    bytes.seekg(middle);
    const char was = static_cast<char>(bytes.get());
    bytes.seekp(middle);
    bytes.put(static_cast<char>(was ^ 8));
    ASSERT_TRUE(bytes.good());
  }
  JobOutcome GoOn(const std::string& mesh = "data: 2, tensor: 2") {
    Job job = job_;
    job.mesh = mesh;
    job.vault = TwoNodes();
    job.checkpoints = checkpoints("run");
    job.attempt = 2;
    return RunJob(job);
  }
};

TEST_F(MixedResume, AnyMeshGoesOnFromTheMemoryOfAnother) {
  const auto expected = StateAfterSeven();
  for (const char* mesh : {"data: 4", "data: 2", "tensor: 2", "data: 1", "data: 2, tensor: 4"}) {
    for (const bool zero : {true, false}) {
      job_.zero = true;
      job_.steps = 12;
      BreakOffAt(7);
      Job job = job_;
      job.mesh = mesh;
      job.zero = zero;
      job.steps = 7;  // nothing is left to do but to save it in this layout
      job.vault = Vault();
      job.checkpoints = checkpoints("run");
      job.attempt = 2;
      job.permitted.emplace();
      const JobOutcome outcome = RunJob(job);
      ASSERT_TRUE(outcome.ok()) << mesh << ": " << outcome.Problems();
      EXPECT_THAT(outcome.out, Contains("resumed from step 7 (RAM of attempt 1)")) << mesh;
      EXPECT_EQ(ReadTensors(CheckpointOf(checkpoints("run"), 7)), expected) << mesh;
    }
  }
}

TEST_F(MixedResume, CopiesOnAnotherNodeAreAsGoodAsTheSlots) {
  MakeNodes();
  BreakOffAt(7);
  // Node two has copies of what node one's ranks saved; node one is gone.
  MakeNodes();
  for (int rank = 0; rank < 4; ++rank) {
    for (const char letter : checkpoint::kSlotLetters) {
      if (!std::filesystem::exists(SlotPath(vault(), rank, letter))) continue;
      std::filesystem::rename(SlotPath(vault(), rank, letter), SlotPath(Node(2), rank, letter));
    }
  }
  Job job = job_;
  job.vault = TwoNodes();
  job.checkpoints = checkpoints("run");
  job.attempt = 2;
  job.permitted.emplace();
  const JobOutcome outcome = RunJob(job);
  EXPECT_THAT(outcome.out, Contains("resumed from step 7 (RAM of attempt 1)"));
  ExpectSameEnd(outcome);
}

TEST_F(MixedResume, WhatOneNodeLostComesFromStorageAndTheRestFromMemory) {
  CommitSeven();
  RemoveSlots(2);
  RemoveSlots(3);
  // Storage is asked for nothing that memory has: its damage there does no harm.
  DamageStored(7, 0);
  DamageStored(7, 1);
  const JobOutcome outcome = GoOn();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 7u);
  EXPECT_THAT(outcome.out, Contains(testing::MatchesRegex(
                               "resumed from step 7 .step-0000000007.a1, [0-9]+ % from memory.")));
}

TEST_F(MixedResume, AnotherMeshTakesTheSameMix) {
  CommitSeven();
  RemoveSlots(1);
  DamageStored(7, 3);
  job_.steps = 7;
  const JobOutcome outcome = GoOn("data: 2");
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.out, Contains(HasSubstr("% from memory)")));
}

TEST_F(MixedResume, DamageInMemoryMeansStorageForThatShardAlone) {
  CommitSeven();
  FlipInImage(Node(2), 2, SealedOf(Node(2), 2).at({1, 7}));
  DamageStored(7, 0);
  const JobOutcome outcome = GoOn();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 7u);
  EXPECT_THAT(outcome.problems, Contains(HasSubstr("rank 2: not gone on from: RAM slot")));
}

TEST_F(MixedResume, AShardThatIsWholeNowhereMeansTheOlderCheckpoint) {
  CommitSeven();
  RemoveSlots(2);
  DamageStored(7, 2);
  const JobOutcome outcome = GoOn();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 6u);
  EXPECT_THAT(outcome.problems, Contains(testing::AllOf(HasSubstr("checkpoint stepped over: "),
                                                        HasSubstr("w00002.safetensors"))));
}

}  // namespace
}  // namespace muster::trainer::loop
