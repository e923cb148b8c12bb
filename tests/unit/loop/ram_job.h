// Jobs that save in memory after every step and are broken off, so that there is something to go on
// from.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/slot_file.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"

namespace muster::trainer::loop {

using checkpoint::SlotFile;

inline std::string SlotPath(const std::string& vault, int rank, char letter) {
  return vault + "/" + checkpoint::SlotFileName(static_cast<uint32_t>(rank), letter);
}

struct Sealed {
  uint64_t attempt = 0;
  uint64_t step = 0;
  auto operator<=>(const Sealed&) const = default;
};

// What a rank's slots hold → which of them.
inline std::map<Sealed, char> SealedOf(const std::string& vault, int rank) {
  std::map<Sealed, char> sealed;
  for (const char letter : checkpoint::kSlotLetters) {
    const auto file = SlotFile::Open(SlotPath(vault, rank, letter));
    if (!file.ok()) continue;
    const auto content = file->slot().Read();
    if (content.ok()) sealed[{content->id.attempt, content->id.step}] = letter;
  }
  return sealed;
}

// The steps of an attempt that every rank holds.
inline std::set<uint64_t> CommonSteps(const std::string& vault, int ranks, uint64_t attempt) {
  std::set<uint64_t> common;
  for (const auto& [sealed, letter] : SealedOf(vault, 0)) {
    bool all = sealed.attempt == attempt;
    for (int rank = 1; rank < ranks; ++rank) {
      all = all && SealedOf(vault, rank).contains(sealed);
    }
    if (all) common.insert(sealed.step);
  }
  return common;
}

inline void FlipInImage(const std::string& vault, int rank, char letter) {
  auto file = SlotFile::Open(SlotPath(vault, rank, letter));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto content = file->slot().Read();
  ASSERT_TRUE(content.ok()) << content.status();
  const auto image = file->slot().image(*content);
  const_cast<std::byte&>(image[image.size() / 2]) ^= std::byte{4};
}

class RamResumeTest : public testing::Test {
 protected:
  explicit RamResumeTest(int ranks = 1, const std::string& mesh = "data: 1") : ranks_(ranks) {
    std::filesystem::create_directory(vault());
    job_.mesh = mesh;
    job_.steps = 12;
    job_.ram_every = 1;
  }

  ~RamResumeTest() override { std::filesystem::remove_all(vault()); }

  std::string vault() const { return vault_; }
  std::string checkpoints(const std::string& name) const { return folder_.path() + "/" + name; }

  std::function<rank::VaultOptions(int)> Vault(uint64_t since = 0) const {
    return [folder = vault(), since](int) {
      return rank::VaultOptions{folder, 1ull << 30, since, false};
    };
  }

  // Attempt 1 stands at `steps` when its world ends, and nothing of it was committed. Room for the
  // slots is made beside the steps, so a machine that is busy elsewhere may come too late with it.
  void BreakOffAt(int steps) {
    for (int tries = 0; tries < 50; ++tries) {
      std::filesystem::remove_all(vault());
      std::filesystem::create_directory(vault());
      std::filesystem::remove_all(checkpoints("run"));
      FakeLink link(FakeLink::Commits::kNeverAnswered);
      link.stop_after_steps = steps;
      Job job = job_;
      job.vault = Vault();
      job.checkpoints = checkpoints("run");
      job.attempt = 1;
      job.permitted.emplace();
      job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
      const JobOutcome outcome = RunJob(job);
      ASSERT_TRUE(outcome.ok()) << outcome.Problems();
      ASSERT_EQ(outcome.first()->step, static_cast<uint64_t>(steps));
      if (CommonSteps(vault(), ranks_, 1).contains(static_cast<uint64_t>(steps))) return;
    }
    FAIL() << "step " << steps << " was never sealed by all";
  }

  JobOutcome Resume(uint64_t attempt = 2, uint64_t since = 0) {
    Job job = job_;
    job.vault = Vault(since);
    job.checkpoints = checkpoints("run");
    job.attempt = attempt;
    job.permitted.emplace();
    return RunJob(job);
  }

  std::map<std::string, std::vector<float>> Undisturbed() {
    Job job = job_;
    job.checkpoints = checkpoints("undisturbed");
    const JobOutcome outcome = RunJob(job);
    EXPECT_TRUE(outcome.ok()) << outcome.Problems();
    return ReadTensors(CheckpointOf(job.checkpoints, 12));
  }
  void ExpectSameEnd(const JobOutcome& outcome) {
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    EXPECT_EQ(outcome.first()->step, 12u);
    EXPECT_EQ(ReadTensors(CheckpointOf(checkpoints("run"), 12)), Undisturbed());
  }

  const int ranks_;
  Job job_;
  TempFolder folder_;
  const std::string vault_ =
      "/dev/shm/" + std::filesystem::path(folder_.path()).filename().string();
};

class FourRanks : public RamResumeTest {
 protected:
  FourRanks() : RamResumeTest(4, "data: 2, tensor: 2") {}
};

}  // namespace muster::trainer::loop
