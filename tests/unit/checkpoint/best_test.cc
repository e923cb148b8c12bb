#include "checkpoint/best.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "checkpoint/verify.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

TEST(HeldOutLoss, IsANumberAboveZeroOrNothing) {
  const auto loss = [](const char* extra) {
    RunState run;
    run.extra_json = extra;
    return HeldOutLoss(run);
  };
  EXPECT_EQ(loss(R"({"eval_bits_per_byte": 1.5})"), 1.5);
  EXPECT_EQ(loss(R"({"eval_bits_per_byte": 2})"), 2.0);
  EXPECT_EQ(loss(R"({"program": {"eval_bits_per_byte": 0.7}})"), 0.7);
  for (const char* none :
       {"{}", "[]", "", R"({"eval_bits_per_byte": 0})", R"({"program": {}})", R"({"program": 3})",

        R"({"eval_bits_per_byte": -1.0})", R"({"eval_bits_per_byte": "1.5"})",
        R"({"eval_bits_per_byte": null})", R"({"eval_bits_per_byte": 1e999})"}) {
    EXPECT_EQ(loss(none), std::nullopt) << none;
  }
}

class BestTest : public testing::Test {
 protected:
  void SaveStep(CheckpointId id, double loss) {
    RunState run;
    run.extra_json = loss == 0 ? "{}" : fmt::format("{{\"eval_bits_per_byte\": {}}}", loss);
    const auto saved = Save(temp_.path(), id, model_, random_, 2, PosixFiles(), run);
    ASSERT_TRUE(saved.ok()) << saved.status();
  }
  std::vector<CheckpointId> Left() {
    std::vector<CheckpointId> left;
    const auto all = ListCheckpoints(temp_.path());
    for (const CheckpointEntry& entry : *all) left.push_back(entry.id);
    return left;
  }
  std::mt19937_64 random_{7};
  Model model_ = RandomModel(random_, 5);
  TempFolder temp_;
};

using Ids = std::vector<CheckpointId>;

TEST_F(BestTest, StayBesideTheNewest) {
  const std::map<uint64_t, double> losses = {{10, 3.0}, {20, 1.5}, {30, 2.5},
                                             {40, 1.7}, {50, 0},   {60, 2}};
  for (const auto& [step, loss] : losses) SaveStep({step, 1}, loss);
  PruneOptions options{.keep = 1, .keep_best = 2, .pinned = {}};
  const auto report = Prune(temp_.path(), options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->spared, (Ids{{40, 1}, {20, 1}}));
  EXPECT_EQ(Left(), (Ids{{60, 1}, {40, 1}, {20, 1}}));
  // A better one comes: the worse of the two goes.
  SaveStep({70, 1}, 1.2);
  SaveStep({80, 1}, 1.9);
  ASSERT_TRUE(Prune(temp_.path(), options).ok());
  EXPECT_EQ(Left(), (Ids{{80, 1}, {70, 1}, {20, 1}}));
}

TEST_F(BestTest, OfOneMeasurementTheStepItWasMadeAtCounts) {
  SaveStep({10, 1}, 2.0);
  SaveStep({20, 1}, 1.5);
  SaveStep({30, 1}, 1.5);  // not measured anew
  SaveStep({40, 1}, 1.6);
  ASSERT_TRUE(Prune(temp_.path(), {.keep = 1, .keep_best = 1, .pinned = {}}).ok());
  EXPECT_EQ(Left(), (Ids{{40, 1}, {20, 1}}));
}

TEST_F(BestTest, WhatTheJobTurnedItsBackOnIsNotTheBest) {
  SaveStep({10, 1}, 2.0);
  SaveStep({20, 1}, 0.1);  // attempt 2 went on from step 10
  SaveStep({15, 2}, 1.9);
  SaveStep({25, 2}, 1.8);
  ASSERT_TRUE(Prune(temp_.path(), {.keep = 1, .keep_best = 1, .pinned = {}}).ok());
  EXPECT_EQ(Left(), (Ids{{25, 2}}));
}

TEST_F(BestTest, OneWhoseManifestCannotBeReadIsNotTheBest) {
  SaveStep({10, 1}, 1.0);
  SaveStep({20, 1}, 1.5);
  SaveStep({30, 1}, 2.0);
  const std::string manifest = temp_.path() + "/" + CheckpointFolder({10, 1}) + "/manifest.json";
  ASSERT_TRUE(PosixFiles().RemoveFile(manifest).ok());
  ASSERT_TRUE(Prune(temp_.path(), {.keep = 1, .keep_best = 1, .pinned = {}}).ok());
  EXPECT_EQ(Left(), (Ids{{30, 1}, {20, 1}}));
}

}  // namespace
}  // namespace muster::checkpoint
