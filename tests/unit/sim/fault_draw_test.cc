#include "sim/replay/fault_draw.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace muster::sim::replay {
namespace {

// A cluster of 100 nodes over 100 days: node i fails 20 times for i < 10, once for i < 40, else
// never.
FaultTrace Recorded() {
  FaultTrace trace;
  trace.span = 100 * kDay;
  trace.nodes.resize(100);
  for (int node = 0; node < 40; ++node) {
    const int count = node < 10 ? 20 : 1;
    for (int i = 0; i < count; ++i) {
      const Micros at = (i * 5 + 1) * kDay;
      trace.nodes[static_cast<size_t>(node)].push_back({at, at + kDay, "GPU", "GPU xid Error"});
      ++trace.faults;
    }
  }
  return trace;
}

std::vector<uint64_t> PerNode(const std::vector<Fault>& faults, uint32_t nodes) {
  std::vector<uint64_t> counts(nodes);
  for (const Fault& fault : faults) counts[fault.node] += fault.at > 0 ? 1 : 0;
  return counts;
}

TEST(ScaleTrace, KeepsTheRateAndTheWorstTenth) {
  const FaultTrace trace = Recorded();
  for (const uint32_t nodes : {100u, 400u, 1000u, 3333u}) {
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const auto faults = ScaleTrace(trace, nodes, trace.span, Random(seed));
      uint64_t count = 0;
      for (const uint64_t one : PerNode(faults, nodes)) count += one;
      const double rate = static_cast<double>(count) / nodes / 100;
      EXPECT_NEAR(rate, trace.FaultsPerNodeDay(), 0.1 * trace.FaultsPerNodeDay())
          << nodes << " nodes, seed " << seed;
      EXPECT_NEAR(WorstTenthShare(PerNode(faults, nodes)), trace.WorstTenthShare(), 0.05)
          << nodes << " nodes, seed " << seed;
    }
  }
}

TEST(ScaleTrace, GivesANodeAWholeHistory) {
  const FaultTrace trace = Recorded();
  const auto counts = PerNode(ScaleTrace(trace, 400, trace.span, Random(5)), 400);
  const std::set<uint64_t> known(counts.begin(), counts.end());
  // A fault that is turned to exactly time 0 would count less.
  EXPECT_EQ(known, (std::set<uint64_t>{0, 1, 20}));
}

TEST(ScaleTrace, CopiesDoNotFailTogether) {
  FaultTrace trace;
  trace.span = 100 * kDay;
  trace.nodes = {{{kDay, 2 * kDay, "GPU", "x"}}};
  std::set<Micros> times;
  for (const Fault& fault : ScaleTrace(trace, 50, trace.span, Random(3))) times.insert(fault.at);
  EXPECT_GE(times.size(), 49u);
}

TEST(ScaleTrace, ANodeAwayAtTheEndIsAwayAtTheStart) {
  FaultTrace trace;
  trace.span = 100 * kDay;
  trace.nodes = {{{10 * kDay, 90 * kDay, "GPU", "x"}}};  // away for 80 of 100 days
  const auto away = CountAway(ScaleTrace(trace, 200, trace.span, Random(4)), trace.span);
  EXPECT_NEAR(away.mean, 160, 1);
  EXPECT_LT(away.max, 190u);
}

TEST(ScaleTrace, TheSameSeedTheSameFaults) {
  const FaultTrace trace = Recorded();
  const auto a = ScaleTrace(trace, 300, 50 * kDay, Random(9));
  const auto b = ScaleTrace(trace, 300, 50 * kDay, Random(9));
  const auto c = ScaleTrace(trace, 300, 50 * kDay, Random(10));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].at, b[i].at);
    EXPECT_EQ(a[i].node, b[i].node);
    EXPECT_LT(a[i].at, 50 * kDay);
  }
  EXPECT_TRUE(a.size() != c.size() || a[0].at != c[0].at || a[1].at != c[1].at);
}

TEST(DrawLlama3, FailsEvery3HoursAt2048Nodes) {
  std::map<std::string, int> causes;
  const auto faults = DrawLlama3(2048, 540 * kDay, Random(1));
  for (const Fault& fault : faults) ++causes[fault.cause];
  // 10 × 54 days; a few hit a node that is away.
  EXPECT_NEAR(static_cast<double>(faults.size()), 4190, 250);
  EXPECT_NEAR(static_cast<double>(causes["faulty GPU"]) / static_cast<double>(faults.size()),
              148.0 / 419, 0.03);
  EXPECT_EQ(causes.size(), 17u);
}

TEST(DrawCorrelated, TakesWholeRacksAtOnce) {
  Correlated how;
  how.rack = 4;
  how.rack_power_every = 100 * kDay;
  how.switch_every = 0;
  const auto faults = DrawCorrelated(how, 10, 1000 * kDay, Random(2));
  std::map<Micros, std::set<uint32_t>> together;
  for (const Fault& fault : faults) together[fault.at].insert(fault.node / 4);
  EXPECT_GT(together.size(), 15u);
  for (const auto& [at, racks] : together) EXPECT_EQ(racks.size(), 1u) << at;
}

TEST(Merged, ANodeFailsOnceAtATime) {
  const auto merged =
      Merged({{5, 20, 1, {}, "b"}, {0, 10, 1, {}, "a"}, {0, 1, 2, {}, "c"}, {21, 22, 1, {}, "d"}});
  ASSERT_EQ(merged.size(), 3u);
  EXPECT_EQ(merged[0].repaired, 20);
  EXPECT_EQ(merged[0].cause, "a");
}

TEST(CountAway, WeighsByTime) {
  const Away away = CountAway({{0, 50, 0, {}, ""}, {40, 60, 1, {}, ""}, {90, 200, 2, {}, ""}}, 100);
  EXPECT_DOUBLE_EQ(away.mean, (50 + 20 + 10) / 100.0);
  EXPECT_EQ(away.max, 2u);
  EXPECT_EQ(away.SparesFor(0.05), 2u);  // two are away for 10 % of the time
  EXPECT_EQ(away.SparesFor(0.10), 1u);
  EXPECT_EQ(away.SparesFor(0.69), 1u);
  EXPECT_EQ(away.SparesFor(0.70), 0u);
}

}  // namespace
}  // namespace muster::sim::replay
