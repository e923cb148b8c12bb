#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

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

TEST(Hostlist, NamesInARow) {
  EXPECT_EQ(NextName("n9"), "n10");
  EXPECT_EQ(NextName("n09"), "n10");
  EXPECT_EQ(NextName("rack3-n099"), "rack3-n100");
  EXPECT_EQ(NextName("7"), "8");
  EXPECT_EQ(NextName("head"), "");
  EXPECT_EQ(NextName(""), "");
  EXPECT_EQ(NextName("n1234567890123456789"), "");
}

TEST(Ranges, SortsAndCountsDuplicatesOnce) {
  EXPECT_EQ(FormatRanges({7, 0, 1, 3, 2, 3}), "0-3,7");
  EXPECT_EQ(FormatRanges({}), "");
}

TEST(Hostlist, GivesTheNamesBack) {
  EXPECT_EQ(*ParseHostlist("gpu7,n[01-03,9]"),
            (std::vector<std::string>{"gpu7", "n01", "n02", "n03", "n9"}));
  EXPECT_EQ(*ParseHostlist("r[1-2]n[3-4]"),
            (std::vector<std::string>{"r1n3", "r1n4", "r2n3", "r2n4"}));
  EXPECT_EQ(*ParseHostlist("head.cluster-1"), (std::vector<std::string>{"head.cluster-1"}));
  EXPECT_EQ(ParseHostlist("n[1-100000]")->size(), 100'000u);
  for (const char* bad :
       {"", ",", "n1,", "n[", "n[]", "n[a]", "n[1-]", "n[3-1]", "n]", "n 1", "n[1-200000]",
        "n[1-1000]x[1-1000]", "n[1,,2]", "n[0-18446744073709551615]", "n[18446744073709551616]",
        "n[[1]]", "n[18446744073709551610-18446744073709551615],"}) {
    EXPECT_EQ(ParseHostlist(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Hostlist, ReadsWhatItWrites) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::string> names;
    for (uint32_t i = 0; i < 1 + random() % 40; ++i) {
      const auto n = random() % 30;
      names.push_back(random() % 2 ? fmt::format("n{}", n) : fmt::format("rack{:03}", n));
    }
    std::vector<std::string> again = ParseHostlist(FormatHostlist(names)).value();
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    std::sort(again.begin(), again.end());
    EXPECT_EQ(again, names) << "seed " << seed;
  }
}

TEST(Duration, ReadsWhatItWritesAbout) {
  EXPECT_EQ(DurationText(absl::Milliseconds(350)), "350 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(2140)), "2.1 s");
  EXPECT_EQ(DurationText(absl::Seconds(125)), "2m 05s");
  EXPECT_EQ(DurationText(absl::Hours(3) + absl::Minutes(4)), "3h 04m");
  EXPECT_EQ(DurationText(absl::Hours(50)), "2d 2h");
  EXPECT_EQ(*DurationFromText("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*DurationFromText("1d12h"), absl::Hours(36));
  EXPECT_EQ(*DurationFromText("2d"), absl::Hours(48));
  for (const char* bad : {"d", "1.5d", "-1d", "1d-1h", "1dd", "9999999d", "1d 2h"}) {
    EXPECT_FALSE(DurationFromText(bad).ok()) << bad;
  }
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
