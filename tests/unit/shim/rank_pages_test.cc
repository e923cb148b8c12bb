#include "worker/shim/rank_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include "rank/collective_ring.h"

namespace muster::worker::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000'000;

// The test is the rank: it writes the pages that the shim reads.
class Pages : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pages = RankPages::Create();
    ASSERT_TRUE(pages.ok());
    pages_ = *std::move(pages);
    void* memory =
        mmap(nullptr, MUSTER_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, pages_->fd(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    rank_ = static_cast<muster_pages*>(memory);
  }
  void TearDown() override { munmap(rank_, MUSTER_PAGES_SIZE); }

  void Publish(int64_t second) {
    muster_status_body body = {};
    body.updates = ++updates_;
    body.monotonic_ns = second * kSecond;
    muster_pages_write_status(&rank_->status, &body);
    pages_->Read();
  }
  uint64_t Add(muster_entry_state state, muster_group group, uint64_t sequence, int64_t second) {
    return muster_ring_add(&rank_->status, state, MUSTER_COLLECTIVE_ALL_GATHER, group, sequence, 64,
                           second * kSecond);
  }
  v1::RankReport StillnessAt(int64_t second) {
    v1::RankReport report;
    pages_->AddStillness(second * kSecond, &report);
    return report;
  }
  // "data 7 inside 3 s"
  static std::vector<std::string> Text(const v1::RankReport& report) {
    std::vector<std::string> text;
    for (const v1::CollectiveSeen& seen : report.collectives()) {
      EXPECT_EQ(seen.operation(), "all-gather");
      EXPECT_EQ(seen.bytes(), 64u);
      text.push_back(seen.group() + " " + std::to_string(seen.sequence()) +
                     (seen.done()      ? " done "
                      : seen.started() ? " started "
                                       : " inside ") +
                     std::to_string(static_cast<int>(seen.age_seconds())) + " s");
    }
    return text;
  }

  std::unique_ptr<RankPages> pages_;
  muster_pages* rank_ = nullptr;
  uint64_t updates_ = 0;
};

TEST_F(Pages, EveryOrderWakesWhoWaitsAndStands) {
  pages_->RaiseSave(1);
  EXPECT_EQ(rank_->order.save, 1u);
  EXPECT_EQ(rank_->order.futex, 1u);
  pages_->RaiseSave(4);
  EXPECT_EQ(rank_->order.save, 4u);
  EXPECT_EQ(rank_->order.stop, 0u) << "it goes on";
  pages_->RaiseStop();
  EXPECT_EQ(rank_->order.futex, 3u);
  EXPECT_EQ(rank_->order.save, 4u);
  EXPECT_EQ(rank_->order.stop, 1u);
}

TEST_F(Pages, WhereTheFirstStepCameFromIsRead) {
  EXPECT_FALSE(pages_->Read().from_memory());
  muster_status_body body = {};
  body.updates = 1;
  body.status.first_step = 47;
  muster_pages_write_status(&rank_->status, &body);
  EXPECT_EQ(pages_->Read().first_step(), 47u);
  EXPECT_FALSE(pages_->Read().from_memory());
  body.flags = MUSTER_STATUS_FROM_MEMORY;
  muster_pages_write_status(&rank_->status, &body);
  EXPECT_TRUE(pages_->Read().from_memory());
}

TEST_F(Pages, ARankThatNeverPublishedIsNeverStill) {
  Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_DATA, 1, 1);
  EXPECT_EQ(StillnessAt(100).still_ms(), 0);
}

TEST_F(Pages, APageThatMovedTellsNothing) {
  Publish(10);
  Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_DATA, 1, 10);
  const v1::RankReport report = StillnessAt(10);
  EXPECT_EQ(report.still_ms(), 0);
  EXPECT_THAT(Text(report), IsEmpty());
}

TEST_F(Pages, StillSinceItsLastPublishOrCollective) {
  Publish(10);
  EXPECT_EQ(StillnessAt(13).still_ms(), 3000);
  Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_DATA, 1, 12);
  EXPECT_EQ(StillnessAt(13).still_ms(), 1000);
  Publish(13);
  EXPECT_EQ(StillnessAt(15).still_ms(), 2000);
}

TEST_F(Pages, WaitingForACollectiveStartedLongAgoMoves) {
  Publish(10);
  const uint64_t first = Add(MUSTER_ENTRY_STARTED, MUSTER_GROUP_DATA, 1, 10);
  for (uint64_t i = 2; i < 20; ++i) Add(MUSTER_ENTRY_STARTED, MUSTER_GROUP_DATA, i, 10);
  muster_ring_wait(&rank_->status, first, 14 * kSecond);
  EXPECT_EQ(StillnessAt(17).still_ms(), 3000);
}

TEST_F(Pages, TheOneItIsInsideIsToldFirstThenTheNewest) {
  Publish(10);
  const uint64_t first = Add(MUSTER_ENTRY_STARTED, MUSTER_GROUP_DATA, 1, 10);
  for (uint64_t i = 2; i < 20; ++i) Add(MUSTER_ENTRY_STARTED, MUSTER_GROUP_DATA, i, 10);
  muster_ring_done(&rank_->status, Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_TENSOR, 5, 11));
  muster_ring_wait(&rank_->status, first, 12 * kSecond);
  EXPECT_THAT(Text(StillnessAt(15)), ElementsAre("data 1 inside 3 s", "tensor 5 done 4 s",
                                                 "data 19 started 5 s", "data 18 started 5 s"));
}

TEST_F(Pages, OutsideOfAllTheNewestAreTold) {
  Publish(10);
  for (uint64_t i = 1; i < 6; ++i) {
    muster_ring_done(&rank_->status, Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_WORLD, i, 10));
  }
  EXPECT_THAT(Text(StillnessAt(12)), ElementsAre("world 5 done 2 s", "world 4 done 2 s",
                                                 "world 3 done 2 s", "world 2 done 2 s"));
}

TEST_F(Pages, ARankThatEndedTellsOnlyWhatItWasInside) {
  muster_ring_done(&rank_->status, Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_WORLD, 1, 10));
  v1::RankReport outside;
  pages_->AddLastCollective(12 * kSecond, &outside);
  EXPECT_THAT(Text(outside), IsEmpty());
  Add(MUSTER_ENTRY_INSIDE, MUSTER_GROUP_WORLD, 2, 11);
  v1::RankReport inside;
  pages_->AddLastCollective(12 * kSecond, &inside);
  EXPECT_THAT(Text(inside), ElementsAre("world 2 inside 1 s"));
  EXPECT_EQ(inside.still_ms(), 0);
}

}  // namespace
}  // namespace muster::worker::shim
