// Going on from RAM slots: the same final bits, from a step storage never saw, and never from
// anything that is damaged, another lineage's, or not held by every rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"
#include "tests/unit/loop/ram_job.h"

namespace muster::trainer::loop {
namespace {

using checkpoint::SlotState;
using testing::Contains;
using testing::HasSubstr;

struct Layout {
  const char* name;
  const char* mesh;
  int ranks;
  bool zero;
  const char* reproducible;
};

class EveryLayout : public testing::TestWithParam<Layout> {};

TEST_P(EveryLayout, EndsInTheBitsOfTheRunThatNeverStopped) {
  struct Case : RamResumeTest {
    explicit Case(const Layout& layout) : RamResumeTest(layout.ranks, layout.mesh) {
      job_.zero = layout.zero;
      job_.reproducible = layout.reproducible;
    }
    void TestBody() override {
      BreakOffAt(7);
      const JobOutcome outcome = Resume();
      ExpectSameEnd(outcome);
      EXPECT_EQ(outcome.first()->first_step, 7u);
      EXPECT_THAT(outcome.out, Contains("resumed from step 7 (RAM of attempt 1)"));
    }
  } test(GetParam());
  test.TestBody();
}

INSTANTIATE_TEST_SUITE_P(RamResume, EveryLayout,
                         testing::Values(Layout{"one", "data: 1", 1, true, "layout"},
                                         Layout{"data2", "data: 2", 2, true, "run"},
                                         Layout{"data3", "data: 4", 4, true, "layout"},
                                         Layout{"whole", "data: 2", 2, false, "run"},
                                         Layout{"tensor2", "tensor: 2", 2, true, "run"},
                                         Layout{"both", "data: 2, tensor: 2", 4, true, "run"},
                                         Layout{"both_whole", "data: 2, tensor: 2", 4, false,
                                                "layout"}),
                         [](const auto& layout) { return std::string(layout.param.name); });

TEST_F(FourRanks, TheStatusPageSaysThatTheStepCameFromMemory) {
  BreakOffAt(7);
  for (const uint64_t since : {0u, 9u}) {  // from there; and not
    FakeLink link(FakeLink::Commits::kPermitted);
    Job job = job_;
    job.vault = Vault(since);
    job.checkpoints = checkpoints("run");
    job.attempt = since == 0 ? 2 : 9;
    job.permitted.emplace();
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    ASSERT_TRUE(RunJob(job).ok());
    EXPECT_EQ(link.last_from_memory, since == 0);
    EXPECT_EQ(link.last.first_step, since == 0 ? 7u : 0u);
  }
}

TEST_F(FourRanks, DamageInOneSlotMeansTheOlderStepOfAll) {
  BreakOffAt(7);
  std::set<uint64_t> common = CommonSteps(vault(), 4, 1);
  common.erase(7);
  FlipInImage(vault(), 2, SealedOf(vault(), 2).at({1, 7}));
  const JobOutcome outcome = Resume();
  ExpectSameEnd(outcome);
  EXPECT_THAT(outcome.problems,
              Contains(HasSubstr("step 7 in RAM stepped over: the shard of rank 2 is whole in")));
  EXPECT_THAT(outcome.problems,
              Contains(HasSubstr("rank 2: not gone on from: RAM slot of step 7: bytes 0-")));
  EXPECT_EQ(outcome.first()->first_step, common.empty() ? 0 : *common.rbegin());
}

TEST_F(FourRanks, DamageInEverySlotOfARankMeansStorage) {
  BreakOffAt(7);
  for (const auto& [sealed, letter] : SealedOf(vault(), 3)) FlipInImage(vault(), 3, letter);
  const JobOutcome outcome = Resume();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(FourRanks, ADamagedHeaderIsTold) {
  BreakOffAt(7);
  for (const char letter : checkpoint::kSlotLetters) {
    auto file = SlotFile::Open(SlotPath(vault(), 1, letter));
    if (file.ok()) const_cast<std::byte&>(file->bytes()[30]) ^= std::byte{1};
  }
  const JobOutcome outcome = Resume();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
  EXPECT_THAT(outcome.problems, Contains(HasSubstr("rank 1: not gone on from: r00001.")));
}

TEST_F(FourRanks, WhatOneRankDoesNotHoldIsNotTaken) {
  BreakOffAt(7);
  for (const char letter : checkpoint::kSlotLetters) {
    std::filesystem::remove(SlotPath(vault(), 2, letter));
  }
  const JobOutcome outcome = Resume();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(FourRanks, SwappedSlotsAreNotTaken) {
  BreakOffAt(7);
  for (const char letter : checkpoint::kSlotLetters) {
    const std::string one = SlotPath(vault(), 1, letter), two = SlotPath(vault(), 2, letter);
    if (!std::filesystem::exists(one)) continue;
    std::filesystem::rename(one, one + ".swap");
    std::filesystem::rename(two, one);
    std::filesystem::rename(one + ".swap", two);
  }
  const JobOutcome outcome = Resume();
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(RamResumeTest, OfAnAttemptThatWasOvertakenIsNotTaken) {
  BreakOffAt(7);
  const JobOutcome outcome = Resume(/*attempt=*/3, /*since=*/2);
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(RamResumeTest, AStepThatAnAttemptWentOnFromBelongsToItsHistory) {
  BreakOffAt(7);
  auto file = SlotFile::Open(SlotPath(vault(), 0, SealedOf(vault(), 0).at({1, 7})));
  ASSERT_TRUE(file.ok()) << file.status();
  file->slot().GoOn(2);  // it finished steps, and failed before it saved
  const JobOutcome outcome = Resume(/*attempt=*/3, /*since=*/2);
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 7u);
}

TEST_F(RamResumeTest, OfThisAttemptOrALaterOneIsNotTaken) {
  BreakOffAt(7);
  const JobOutcome outcome = Resume(/*attempt=*/1);
  EXPECT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(RamResumeTest, ThatTwoAttemptsWentOnFromIsNotTakenAgain) {
  BreakOffAt(7);
  for (const char letter : checkpoint::kSlotLetters) {
    auto file = SlotFile::Open(SlotPath(vault(), 0, letter));
    if (!file.ok()) continue;
    file->slot().GoOn(2);
    file->slot().GoOn(3);
  }
  const JobOutcome outcome = Resume(4);
  ExpectSameEnd(outcome);
  EXPECT_EQ(outcome.first()->first_step, 0u);
}

TEST_F(RamResumeTest, ACheckpointOnStorageOfThatStepIsTaken) {
  Job job = job_;
  job.vault = Vault();
  job.checkpoints = checkpoints("run");
  ASSERT_TRUE(RunJob(job).ok());
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_THAT(outcome.out, Contains("resumed from step 12 (step-0000000012.a1, from memory)"));
}

TEST_F(FourRanks, WithoutRoomOnOneNodeEverybodySavesToStorageAlone) {
  job_.save_every = 3;
  job_.vault = [this](int rank) {
    return rank::VaultOptions{vault(), rank == 2 ? 1000 : 1ull << 30, 0, false};
  };
  job_.checkpoints = checkpoints("run");
  const JobOutcome outcome = RunJob(job_);
  job_.vault = nullptr;
  ExpectSameEnd(outcome);
  ASSERT_EQ(outcome.problems.size(), 1u) << outcome.Problems();
  EXPECT_THAT(outcome.problems[0], HasSubstr("rank 2: no RAM slots"));
  EXPECT_THAT(outcome.problems[0], HasSubstr("--vault-memory"));
  EXPECT_TRUE(SealedOf(vault(), 0).empty());
}

// The slots as they are at one instant: read twice, and nothing moved in between.
class Watcher {
 public:
  Watcher(const std::string& vault, int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      for (const char letter : checkpoint::kSlotLetters) {
        auto file = SlotFile::Open(SlotPath(vault, rank, letter));
        if (file.ok()) files_.push_back(*std::move(file));
      }
    }
  }
  bool complete(int ranks) const { return files_.size() == 2 * static_cast<size_t>(ranks); }

  // The steps every rank holds sealed; nullopt: something moved meanwhile.
  std::optional<std::set<uint64_t>> Common() const {
    const std::vector<uint64_t> first = Words();
    if (Words() != first) return std::nullopt;
    std::set<uint64_t> common = {first[0], first[1]};
    for (size_t rank = 0; rank < first.size() / 2; ++rank) {
      std::erase_if(common, [&](uint64_t step) {
        return step == 0 || (step != first[2 * rank] && step != first[2 * rank + 1]);
      });
    }
    return common;
  }

 private:
  std::vector<uint64_t> Words() const {
    std::vector<uint64_t> steps;
    for (const SlotFile& file : files_) {
      const bool sealed = file.slot().state() == SlotState::kSealed;
      const uint64_t step = file.slot().step();
      steps.push_back(sealed && file.slot().state() == SlotState::kSealed ? step : 0);
    }
    return steps;
  }

  std::vector<SlotFile> files_;
};

TEST_F(FourRanks, AtEveryMomentThereIsAStepThatEveryRankHolds) {
  job_.steps = 80;
  job_.save_every = 7;
  job_.vault = Vault();
  job_.checkpoints = checkpoints("run");
  std::atomic<bool> over = false;
  uint64_t moments = 0, without = 0, newest = 0;
  std::thread watcher([&] {
    while (!over && !Watcher(vault(), 4).complete(4)) std::this_thread::yield();
    const Watcher slots(vault(), 4);
    bool begun = false;
    while (!over) {
      std::this_thread::yield();
      const auto common = slots.Common();
      if (!common.has_value()) continue;
      begun = begun || !common->empty();
      if (!begun) continue;
      ++moments;
      if (common->empty()) {
        ++without;
      } else {
        // While a durable save is drained the other slot takes the steps after it, and in the
        // middle of such a fill the one that is drained is what all hold.
        EXPECT_GE(*common->rbegin() + 14, newest) << "older than the save that is drained";
        newest = std::max(newest, *common->rbegin());
      }
    }
  });
  const JobOutcome outcome = RunJob(job_);
  over = true;
  watcher.join();
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(without, 0u) << "of " << moments << " moments";
  EXPECT_GT(newest, 40u);
  std::printf("[ moments  ] %llu looks, each found a step that all four ranks hold\n",
              static_cast<unsigned long long>(moments));
}

}  // namespace
}  // namespace muster::trainer::loop
