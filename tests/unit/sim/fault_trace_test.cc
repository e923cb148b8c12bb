#include "sim/replay/fault_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace muster::sim::replay {
namespace {

using testing::HasSubstr;

constexpr char kSmall[] = "tests/unit/sim/small_trace.json";

TEST(FaultTrace, KeepsNodesThatNeverFailed) {
  const auto trace = ReadFaultTrace(kSmall, 10);
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->nodes.size(), 10u);
  EXPECT_EQ(trace->span, 10 * kDay);
  EXPECT_EQ(trace->faults, 4u);
  EXPECT_DOUBLE_EQ(trace->FaultsPerNodeDay(), 4.0 / 10 / 10);
  EXPECT_DOUBLE_EQ(trace->WorstTenthShare(), 0.5);  // a has two of four
}

TEST(FaultTrace, FaultsOfOneNodeThatOverlapAreOne) {
  const auto trace = ReadFaultTrace(kSmall, 0);
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->nodes[0].size(), 2u);
  EXPECT_EQ(trace->nodes[0][0].at, kDay / 2);
  EXPECT_EQ(trace->nodes[0][0].repaired, kDay * 5 / 2);
  EXPECT_EQ(trace->nodes[0][0].text, "GPU xid Error");
}

TEST(FaultTrace, AFaultWithoutAnEndLastsToTheEnd) {
  const auto trace = ReadFaultTrace(kSmall, 0);
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->nodes[1].size(), 1u);
  EXPECT_EQ(trace->nodes[1][0].repaired, 10 * kDay);
  EXPECT_EQ(trace->RepairTimes().size(), 3u);  // c needed none
}

TEST(FaultTrace, SaysHowFaultsShow) {
  struct {
    const char* kind;
    const char* text;
    double roll;
    FaultKind shows;
  } const table[] = {
      {"GPU", "GPU xid Error", 0.0, FaultKind::kRankDies},
      {"Parameter Plane Cable", "Link Down", 0.9, FaultKind::kHang},
      {"System Crash", "Server down", 0.5, FaultKind::kNodeGone},
      {"Unknown Error", "Unknown Error", 0.05, FaultKind::kHang},
      {"Unknown Error", "Unknown Error", 0.15, FaultKind::kNodeGone},
      {"Unknown Error", "Unknown Error", 0.5, FaultKind::kRankDies},
  };
  for (const auto& row : table) {
    EXPECT_EQ(KindOf({0, 0, row.kind, row.text}, row.roll), row.shows)
        << row.text << ", rolled " << row.roll;
  }
}

TEST(FaultTrace, RefusesBadFilesInOneLineWithThePlace) {
  const std::string start = R"([{"node_id": "a", "event_time": 1, "event_type": "fault_start"},)"
                            "\n";
  struct {
    const char* name;
    std::string text;
    const char* says;
  } const table[] = {
      {"cut short", start + R"({"node_id": "b")", "t.json:2: this is not JSON"},
      {"no array", "{}", "t.json:1: holds no array"},
      {"nothing", "[]", "t.json:1: holds no array"},
      {"no node", R"([{"event_time": 1}])", "event 1 of 1 has no node_id"},
      {"time as text", R"([{"node_id": "a", "event_time": "1"}])",
       "event 1 of 1 has no event_time"},
      {"back in time", start + R"({"node_id": "b", "event_time": 0.5, "event_type": "fault_end"}])",
       "event 2 of 2 is at 0.5 days, after one at 1: sort"},
      {"another type", R"([{"node_id": "a", "event_time": 1, "event_type": "reboot"}])",
       "neither fault_start nor fault_end"},
      {"an end alone", R"([{"node_id": "a", "event_time": 1, "event_type": "fault_end"}])",
       "ends a fault of a node that has none"},
      {"negative", R"([{"node_id": "a", "event_time": -1, "event_type": "fault_end"}])",
       "outside 0"},
  };
  for (const auto& row : table) {
    const auto trace = ParseFaultTrace(row.text, "t.json", 0);
    ASSERT_FALSE(trace.ok()) << row.name;
    const std::string message(trace.status().message());
    EXPECT_THAT(message, HasSubstr(row.says)) << row.name;
    EXPECT_EQ(message.find('\n'), std::string::npos) << row.name;
  }
}

TEST(FaultTrace, RefusesAClusterSmallerThanTheFile) {
  const auto trace = ReadFaultTrace(kSmall, 2);
  ASSERT_FALSE(trace.ok());
  EXPECT_THAT(std::string(trace.status().message()), HasSubstr("names 3 nodes, more than the 2"));
}

TEST(FaultTrace, SaysHowToGetAMissingFile) {
  const auto trace = ReadFaultTrace("no/such.json", 0);
  ASSERT_FALSE(trace.ok());
  EXPECT_THAT(std::string(trace.status().message()), HasSubstr("--trace"));
}

}  // namespace
}  // namespace muster::sim::replay
