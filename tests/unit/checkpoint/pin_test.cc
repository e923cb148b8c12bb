#include "checkpoint/pin.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/verify.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/crash_files.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

namespace fs = std::filesystem;

class PinTest : public testing::Test {
 protected:
  std::string SaveStep(uint64_t step) {
    const auto saved = Save(temp_.path(), {step, 1}, model_, random_, 2);
    EXPECT_TRUE(saved.ok()) << saved.status();
    return saved.ok() ? *saved : "";
  }
  std::vector<uint64_t> Steps() {
    std::vector<uint64_t> steps;
    const auto all = ListCheckpoints(temp_.path());
    for (const CheckpointEntry& entry : *all) steps.push_back(entry.id.step);
    return steps;
  }
  std::mt19937_64 random_{5};
  Model model_ = RandomModel(random_, 5);
  TempFolder temp_;
};

TEST_F(PinTest, OutlivesEveryPruneUntilItIsTakenBack) {
  for (uint64_t step : {10u, 20u, 30u, 40u}) SaveStep(step);
  const std::string folder = temp_.path() + "/" + CheckpointFolder({20, 1});
  ASSERT_TRUE(Pin(folder, "for the paper").ok());
  EXPECT_EQ(*PinNote(folder), "for the paper");
  EXPECT_TRUE(Verify(folder).ok());
  const auto report = Prune(temp_.path(), {.keep = 1, .pinned = {}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->spared, (std::vector<CheckpointId>{{20, 1}}));
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{40, 20}));
  ASSERT_TRUE(Unpin(folder).ok());
  EXPECT_TRUE(absl::IsNotFound(Unpin(folder)));
  ASSERT_TRUE(Prune(temp_.path(), {.keep = 1, .pinned = {}}).ok());
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{40}));
}

TEST_F(PinTest, NeedsACommittedCheckpoint) {
  ASSERT_TRUE(PrepareCheckpointFolder(temp_.path(), {10, 1}).ok());
  const absl::Status status = Pin(temp_.path() + "/" + CheckpointFolder({10, 1}), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(PinTest, OfWhatIsInTheTrashAlreadyBringsItBack) {
  for (uint64_t step : {10u, 20u}) SaveStep(step);
  // As if a prune had moved it between our write and its own second look.
  const std::string folder = temp_.path() + "/" + CheckpointFolder({10, 1});
  std::ofstream(folder + "/PINNED") << "\n";
  fs::rename(folder, temp_.path() + "/.trash-" + CheckpointFolder({10, 1}));
  ASSERT_TRUE(Prune(temp_.path(), {.keep = 1, .pinned = {}}).ok());
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{20, 10}));
  EXPECT_TRUE(Verify(folder).ok());
}

TEST_F(PinTest, PruneKeepsEveryNthAndAPlanTouchesNothing) {
  for (uint64_t step : {10u, 20u, 30u, 40u, 50u, 60u}) SaveStep(step);
  PruneOptions options{.keep = 2, .keep_every = 20, .pinned = {}};
  options.only_plan = true;
  const auto plan = Prune(temp_.path(), options);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->deleted, (std::vector<CheckpointId>{{30, 1}, {10, 1}}));
  EXPECT_EQ(Steps().size(), 6u);
  options.only_plan = false;
  EXPECT_EQ(Prune(temp_.path(), options)->deleted, plan->deleted);
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{60, 50, 40, 20}));
}

// Once Pin has returned ok, no crash and no prune takes the checkpoint.
TEST(PinCrash, AtEveryCallItIsPinnedOrWasNotPromised) {
  std::mt19937_64 random(9);
  const Model model = RandomModel(random, 3);
  int points = 0;
  for (const auto survives : {CrashFiles::Survives::kDurableOnly, CrashFiles::Survives::kEverything,
                              CrashFiles::Survives::kSome}) {
    for (int at = 0;; ++at) {
      CrashFiles files;
      ASSERT_TRUE(MakeFolders(files, "/root").ok());
      ASSERT_TRUE(Save("/root", {10, 1}, model, random, 1, files).ok());
      ASSERT_TRUE(Save("/root", {20, 1}, model, random, 1, files).ok());
      const int begin = files.calls();
      files.CrashAt(begin + at);
      const bool promised = Pin("/root/" + CheckpointFolder({10, 1}), "x", files).ok();
      const bool over = !files.crashed();
      files.CrashAt(files.calls() + 1);
      (void)Prune("/root", {.keep = 1, .pinned = {}}, files);
      files.Restart(survives, static_cast<uint64_t>(at));
      ASSERT_TRUE(Prune("/root", {.keep = 1, .pinned = {}}, files).ok()) << at;
      const bool there = IsCommitted("/root/" + CheckpointFolder({10, 1}), files);
      EXPECT_TRUE(there || !promised) << "crash at call " << at;
      ++points;
      if (over) break;
    }
  }
  EXPECT_GE(points, 15);
}

}  // namespace
}  // namespace muster::checkpoint
