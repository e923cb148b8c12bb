#include "checkpoint/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

namespace fs = std::filesystem;

class Store : public testing::Test {
 protected:
  void SaveStep(uint64_t step, uint64_t attempt) {
    const auto saved = Save(temp_.path(), {step, attempt}, model_, random_, 2);
    ASSERT_TRUE(saved.ok()) << saved.status();
  }
  std::string Path(uint64_t step, uint64_t attempt) {
    return temp_.path() + "/" + CheckpointFolder({step, attempt});
  }
  std::vector<uint64_t> Steps() {
    std::vector<uint64_t> steps;
    const auto all = ListCheckpoints(temp_.path());
    for (const CheckpointEntry& entry : *all) {
      steps.push_back(entry.id.step);
    }
    return steps;
  }
  std::mt19937_64 random_{11};
  Model model_ = RandomModel(random_, 5);
  TempFolder temp_;
};

TEST(CheckpointFolder, NamesThereAndBack) {
  EXPECT_EQ(CheckpointFolder({1234, 3}), "step-0000001234.a3");
  EXPECT_EQ(ParseCheckpointFolder("step-0000001234.a3"), (CheckpointId{1234, 3}));
  for (const char* bad :
       {"step-1234.a3", "step-0000001234", "step-0000001234.a", "step-.a3", "step-0000001234.a03",
        "step-0000001234.a3x", "LATEST", ".trash-x", "step-00000012345678901234567890.a1"}) {
    EXPECT_FALSE(ParseCheckpointFolder(bad)) << bad;
  }
}

TEST_F(Store, ListsNewestFirstWithStates) {
  SaveStep(10, 1);
  SaveStep(20, 2);
  ASSERT_TRUE(PrepareCheckpointFolder(temp_.path(), {30, 2}).ok());
  SaveStep(40, 2);
  std::ofstream(Path(40, 2) + "/COMMIT") << "{}";
  fs::create_directory(temp_.path() + "/something-else");
  ASSERT_TRUE(WriteLatest(temp_.path(), {20, 2}).ok());
  const auto all = ListCheckpoints(temp_.path());
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ((*all)[0].state, CheckpointState::kDamagedCommit);
  EXPECT_EQ((*all)[1].state, CheckpointState::kPartial);
  EXPECT_EQ((*all)[2].state, CheckpointState::kCommitted);
  EXPECT_EQ((*all)[2].id, (CheckpointId{20, 2}));
  EXPECT_EQ((*all)[3].id, (CheckpointId{10, 1}));
  EXPECT_TRUE(ListCheckpoints(temp_.path() + "/absent")->empty());
}

TEST_F(Store, PruneKeepsTheNewestAndThePinned) {
  for (uint64_t step : {10u, 20u, 30u, 40u, 50u}) SaveStep(step, 2);
  ASSERT_TRUE(PrepareCheckpointFolder(temp_.path(), {15, 1}).ok());  // dead attempt
  ASSERT_TRUE(PrepareCheckpointFolder(temp_.path(), {45, 2}).ok());  // failed, then passed by
  ASSERT_TRUE(PrepareCheckpointFolder(temp_.path(), {60, 2}).ok());  // being written
  fs::create_directories(temp_.path() + "/.trash-step-0000000001.a1/data");
  const PruneOptions options{.keep = 2, .pinned = {{20, 2}}, .current_attempt = 2};
  const auto report = Prune(temp_.path(), options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->deleted.size(), 2u);
  EXPECT_EQ(report->swept.size(), 2u);
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{60, 50, 40, 20}));
  EXPECT_FALSE(fs::exists(temp_.path() + "/.trash-step-0000000001.a1"));
  const PruneOptions all{.keep = 0, .pinned = {}, .current_attempt = 2};
  ASSERT_TRUE(Prune(temp_.path(), all).ok());
  EXPECT_EQ(Steps().size(), 4u);
}

TEST_F(Store, PruneNeverDeletesTheNewestThatVerifies) {
  for (uint64_t step : {10u, 20u, 30u}) SaveStep(step, 1);
  for (uint64_t step : {20u, 30u}) {
    std::ofstream(Path(step, 1) + "/data/w00000.safetensors", std::ios::app) << "x";
  }
  const PruneOptions options{.keep = 2, .pinned = {}, .current_attempt = 1};
  const auto report = Prune(temp_.path(), options);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->deleted.empty());
  EXPECT_NE(report->kept_for_safety.find("none of the newest 2"), std::string::npos);
  EXPECT_EQ(Steps(), (std::vector<uint64_t>{30, 20, 10}));
}

TEST_F(Store, AFolderThatCannotBeMadeIsNamed) {
  std::ofstream(temp_.path() + "/file") << "x";
  const absl::Status status = PrepareCheckpointFolder(temp_.path() + "/file/job", {1, 1}).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find(temp_.path() + "/file/job"), std::string::npos)
      << status;
}

}  // namespace
}  // namespace muster::checkpoint
