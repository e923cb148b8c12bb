#include "worker/shim/save_troubles.h"

#include <gtest/gtest.h>

namespace muster::worker::shim {
namespace {

muster_frame_save_trouble Said(uint32_t kind, uint64_t step) {
  muster_frame_save_trouble said = {};
  said.kind = kind;
  said.step = step;
  return said;
}

v1::RankReport ReportOf(const SaveTroubles& troubles, uint32_t rank) {
  v1::RankReport report;
  report.set_rank(rank);
  troubles.AddTo(&report);
  return report;
}

TEST(SaveTroubles, StayUntilTheyAreOver) {
  SaveTroubles troubles;
  EXPECT_TRUE(troubles.Take(3, Said(MUSTER_SAVE_STORAGE, 40), "full"));
  EXPECT_TRUE(troubles.Take(3, Said(MUSTER_SAVE_NO_SLOTS, 0), "no memory"));
  EXPECT_FALSE(troubles.Take(3, Said(MUSTER_SAVE_STORAGE, 40), "full")) << "said before";
  ASSERT_EQ(ReportOf(troubles, 3).save_troubles_size(), 2);
  EXPECT_EQ(ReportOf(troubles, 3).save_troubles(0).kind(), v1::SAVE_TROUBLE_KIND_STORAGE);
  EXPECT_EQ(ReportOf(troubles, 3).save_troubles(0).step(), 40u);
  EXPECT_EQ(ReportOf(troubles, 3).save_troubles(0).text(), "full");
  EXPECT_EQ(ReportOf(troubles, 2).save_troubles_size(), 0);
  EXPECT_TRUE(troubles.Take(3, Said(MUSTER_SAVE_STORAGE, 60), "full again")) << "in its place";
  ASSERT_EQ(ReportOf(troubles, 3).save_troubles_size(), 2);
  EXPECT_TRUE(troubles.Take(3, Said(MUSTER_SAVE_STORAGE, 80), ""));
  EXPECT_FALSE(troubles.Take(3, Said(MUSTER_SAVE_STORAGE, 80), "")) << "over already";
  ASSERT_EQ(ReportOf(troubles, 3).save_troubles_size(), 1);
  EXPECT_EQ(ReportOf(troubles, 3).save_troubles(0).kind(), v1::SAVE_TROUBLE_KIND_NO_SLOTS);
}

TEST(SaveTroubles, OfAnUnknownKindAreNone) {
  SaveTroubles troubles;
  EXPECT_FALSE(troubles.Take(0, Said(0, 1), "what"));
  EXPECT_FALSE(troubles.Take(0, Said(77, 1), "what"));
  EXPECT_EQ(ReportOf(troubles, 0).save_troubles_size(), 0);
}

}  // namespace
}  // namespace muster::worker::shim
