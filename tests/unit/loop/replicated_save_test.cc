// Saves in memory where every slot is copied to another node: which steps the copies have in
// common, and that a run goes on where no copy can be had.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "checkpoint/slot_file.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"

namespace muster::trainer::loop {
namespace {

using checkpoint::SlotFile;

constexpr int kRanks = 4;

class ReplicatedSave : public testing::Test {
 protected:
  ReplicatedSave() {
    std::filesystem::create_directory(vault_);
    job_.mesh = "data: 2, tensor: 2";
    job_.steps = 40;
    job_.ram_every = 1;
    job_.checkpoints = folder_.path() + "/run";
    job_.vault = [this](int) {
      return rank::VaultOptions{.folder = vault_, .bytes = 1ull << 30, .replicated = true};
    };
  }
  ~ReplicatedSave() override { std::filesystem::remove_all(vault_); }

  // The steps whose slots of this rank are sealed; `marked`: and copied.
  std::set<uint64_t> StepsOf(int rank, bool marked) const {
    std::set<uint64_t> steps;
    for (const char letter : checkpoint::kSlotLetters) {
      const auto file = Slot(rank, letter);
      if (!file.ok() || file->slot().state() != checkpoint::SlotState::kSealed) continue;
      if (marked && (file->slot().marks() & checkpoint::kSlotReplicated) == 0) continue;
      steps.insert(file->slot().step());
    }
    return steps;
  }
  absl::StatusOr<SlotFile> Slot(int rank, char letter) const {
    return SlotFile::Open(vault_ + "/" +
                          checkpoint::SlotFileName(static_cast<uint32_t>(rank), letter));
  }
  std::set<uint64_t> CommonCopies() const {
    std::set<uint64_t> common = StepsOf(0, true);
    for (int rank = 1; rank < kRanks; ++rank) {
      const std::set<uint64_t> of_rank = StepsOf(rank, true);
      std::erase_if(common, [&](uint64_t step) { return !of_rank.contains(step); });
    }
    return common;
  }

  Job job_;
  TempFolder folder_;
  const std::string vault_ =
      "/dev/shm/" + std::filesystem::path(folder_.path()).filename().string();
};

// Only this thread marks, so between two looks no copy comes to be.
TEST_F(ReplicatedSave, OnceTheCopiesHaveAStepInCommonTheyAlwaysHave) {
  std::atomic<bool> over = false;
  std::set<uint64_t> seen;
  uint64_t gaps = 0;
  std::thread worker([&] {
    std::mt19937 random(3);
    while (!over) {
      const int rank = static_cast<int>(random() % kRanks);
      const auto file = Slot(rank, checkpoint::kSlotLetters[random() % 2]);
      if (file.ok() && file->slot().awaits_replica()) {
        const_cast<checkpoint::RamSlot&>(file->slot()).Mark(checkpoint::kSlotReplicated);
      }
      const std::set<uint64_t> common = CommonCopies();
      if (common.empty() && !seen.empty()) ++gaps;
      seen.insert(common.begin(), common.end());
    }
  });
  const JobOutcome outcome = RunJob(job_);
  over = true;
  worker.join();
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(outcome.first()->step, 40u);
  EXPECT_EQ(gaps, 0u);
  EXPECT_GE(seen.size(), 3u) << "too few saves for the test to say anything";
}

TEST_F(ReplicatedSave, WithoutAWorkerTheRunGoesOnAndStorageHasItsEnd) {
  job_.save_every = 10;
  const JobOutcome outcome = RunJob(job_);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(outcome.first()->step, 40u);
  EXPECT_TRUE(std::filesystem::exists(CheckpointOf(job_.checkpoints, 40)));
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_LE(StepsOf(rank, false).size(), 2u);
    EXPECT_TRUE(StepsOf(rank, true).empty());
  }
}

}  // namespace
}  // namespace muster::trainer::loop
