#include "sim/replay/recovery_costs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace muster::sim::replay {
namespace {

using testing::HasSubstr;

TEST(RecoveryCosts, TheFileOfTheSourcesIsTheDefault) {
  const auto read = ReadRecoveryCosts("configs/recovery-costs.yaml");
  ASSERT_TRUE(read.ok()) << read.status();
  const RecoveryCosts defaults;
  EXPECT_EQ(read->detect_node_gone, defaults.detect_node_gone);
  EXPECT_EQ(read->orders_all, defaults.orders_all);
  EXPECT_EQ(read->orders_nodes, defaults.orders_nodes);
  EXPECT_EQ(read->start_spawn, defaults.start_spawn);
  EXPECT_EQ(read->start_program, defaults.start_program);
  EXPECT_EQ(read->Write(1875), defaults.Write(1875));
  EXPECT_EQ(read->Read(1875), defaults.Read(1875));
  EXPECT_EQ(read->Copy(), defaults.Copy());
  EXPECT_EQ(read->hidden, defaults.hidden);
  EXPECT_EQ(read->step, defaults.step);
  EXPECT_EQ(read->stock_requeue, defaults.stock_requeue);
}

TEST(RecoveryCosts, ScalesWithTheNodes) {
  RecoveryCosts costs;
  costs.orders_all = 200 * kMilli;
  costs.orders_nodes = 1000;
  EXPECT_EQ(costs.Tell(2000), 400 * kMilli);
  costs.bytes_per_node = 3e9;
  costs.write = 1e9;
  costs.storage_total = 1e12;
  EXPECT_EQ(costs.Write(100), 3 * kSecond);
  EXPECT_EQ(costs.Write(2000), 6 * kSecond);  // the storage is the limit
  costs.hidden = false;
  EXPECT_EQ(costs.Stall(100), costs.Write(100));
  costs.hidden = true;
  costs.copy = 1e10;
  EXPECT_EQ(costs.Stall(100), 300 * kMilli);
}

TEST(RecoveryCosts, YoungAndDaly) {
  EXPECT_EQ(YoungDaly(2 * kSecond, 10'000 * kSecond), 200 * kSecond);
  EXPECT_EQ(YoungDaly(0, kHour), 0);
}

TEST(RecoveryCosts, ReadsSizesAndSpeeds) {
  EXPECT_DOUBLE_EQ(BytesFromText("2.6GB", false).value(), 2.6e9);
  EXPECT_DOUBLE_EQ(BytesFromText("512kB/s", true).value(), 512e3);
  for (const char* text : {"", "GB", "2.6", "2.6GB", "-1GB/s", "1e99GB/s", "nanGB/s"}) {
    EXPECT_FALSE(BytesFromText(text, true).ok()) << text;
  }
}

TEST(RecoveryCosts, RefusesInOneLineWithThePlace) {
  struct {
    const char* text;
    const char* says;
  } const table[] = {
      {"detect:\n  node_gone: soon\n", "c.yaml:2: \"soon\" is not a duration"},
      {"detect:\n  node: 5s\n", "c.yaml:2: there is no cost \"detect.node\""},
      {"checkpoint: {write: 5s}\n", "c.yaml:1: \"5s\" is not a speed; write 1.5GB/s"},
      {"checkpoint: {hidden: maybe}\n", "c.yaml:1: checkpoint.hidden is yes or no"},
      {"orders: {nodes: 0}\n", "more than 0"},
      {"step: [5s]\n", "c.yaml:1: step needs one value, not a list"},
      {"step: 0s\n", "step must be more than 0"},
      {"- 1\n", "holds a list"},
  };
  for (const auto& row : table) {
    const auto costs = ParseRecoveryCosts(row.text, "c.yaml");
    ASSERT_FALSE(costs.ok()) << row.text;
    EXPECT_THAT(std::string(costs.status().message()), HasSubstr(row.says)) << row.text;
  }
}

}  // namespace
}  // namespace muster::sim::replay
