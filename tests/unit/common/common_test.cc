#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "common/check.h"
#include "common/duration.h"
#include "common/hostlist.h"
#include "common/ids.h"
#include "common/status.h"

namespace muster {
namespace {

TEST(Hostlist, FoldsRunsAndKeepsWidth) {
  EXPECT_EQ(FormatHostlist({"n3", "n1", "n2", "gpu7", "n9"}), "gpu7,n[1-3,9]");
  EXPECT_EQ(FormatHostlist({"r08", "r09", "r10"}), "r10,r[08-09]");
  EXPECT_EQ(FormatHostlist({"head"}), "head");
  EXPECT_EQ(FormatHostlist({}), "");
}

TEST(Ranges, SortsAndCountsDuplicatesOnce) {
  EXPECT_EQ(FormatRanges({7, 0, 1, 3, 2, 3}), "0-3,7");
  EXPECT_EQ(FormatRanges({}), "");
}

TEST(Duration, ReadsWhatItWritesAbout) {
  EXPECT_EQ(DurationText(absl::Milliseconds(350)), "350 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(2140)), "2.1 s");
  EXPECT_EQ(DurationText(absl::Seconds(125)), "2m 05s");
  EXPECT_EQ(DurationText(absl::Hours(3) + absl::Minutes(4)), "3h 04m");
  EXPECT_EQ(DurationText(absl::Hours(50)), "2d 2h");
  EXPECT_EQ(*DurationFromText("1h30m"), absl::Minutes(90));
  EXPECT_EQ(DurationFromText("soon").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DurationFromText("-3s").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Status, CodeFollowsErrnoAndAnnotationKeepsIt) {
  const absl::Status status = Annotate(ErrnoError(ENOSPC, "write shard"), "save step 20");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "save step 20: write shard: No space left on device");
  EXPECT_EQ(ErrnoError(ENOENT, "x").code(), absl::StatusCode::kNotFound);
}

TEST(CheckDeath, NamesConditionAndMessage) {
  EXPECT_DEATH(CHECK(1 == 2, "rank {}", 3), "CHECK\\(1 == 2\\) failed: rank 3");
}

TEST(Ids, CompareByValue) {
  EXPECT_LT(JobId(1), JobId(2));
  EXPECT_EQ(NodeId("n1"), NodeId("n1"));
}

}  // namespace
}  // namespace muster
