#include "coordinator/core/failure_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace muster::coordinator::core {
namespace {

constexpr int64_t kHour = 3'600'000;

TEST(FailureRate, BeforeAnythingWasSeenItIsThatOfALargeCluster) {
  const FailureRate rate;
  EXPECT_NEAR(rate.PerNodeHour() * 24 * 1000, 6.5, 1e-9);
  // 1,875 nodes: 12.2 failures a day, one every 2 hours.
  EXPECT_NEAR(rate.MtbfSeconds(1875) / 3600, 1.97, 0.01);
}

TEST(FailureRate, AClusterBelievesItsOwnEyesWithinDays) {
  FailureRate rate;
  int64_t now = 1;
  rate.Advance(now, 1000);
  for (int hour = 0; hour < 14 * 24; ++hour) {
    rate.Advance(now += kHour, 1000);
    if (hour % 2 == 0) rate.Count(now);
  }
  // One failure in two hours on 1,000 nodes: twelve per 1,000 node-days.
  EXPECT_NEAR(rate.PerNodeHour() * 24 * 1000, 12, 0.3);
}

TEST(FailureRate, OldFailuresFade) {
  FailureRate rate;
  rate.Advance(1, 4);
  rate.Count(1);
  rate.Count(1 + kHour);
  const double before = rate.PerNodeHour();
  EXPECT_GT(before * 24 * 1000, 6.5);
  rate.Advance(1 + 1000 * kHour, 4);
  EXPECT_LT(rate.PerNodeHour(), before / 2);
}

TEST(FailureRate, ARackIsOneFailure) {
  FailureRate one, rack;
  one.Count(kHour);
  for (int node = 0; node < 72; ++node) rack.Count(kHour + int64_t{node} * 100);
  EXPECT_DOUBLE_EQ(one.PerNodeHour(), rack.PerNodeHour());
}

// What a run with failures loses, in parts of the time: saving, and work done in vain.
double Overhead(double interval, double save, double mtbf) {
  return save / interval + (interval + save) / 2 / mtbf;
}

TEST(BestInterval, NoOtherIntervalCostsNoticeablyLess) {
  for (const double save : {0.01, 0.2, 5.0, 60.0}) {
    for (const double mtbf : {600.0, 7200.0, 1e6}) {
      if (save * 20 > mtbf) continue;
      const double best = BestIntervalSeconds(save, mtbf);
      for (const double times : {0.5, 0.8, 1.25, 2.0}) {
        EXPECT_LT(Overhead(best, save, mtbf), Overhead(best * times, save, mtbf) * 1.02)
            << save << " s, " << mtbf << " s, " << times;
      }
    }
  }
}

TEST(BestInterval, FollowsThePaper) {
  // tau = sqrt(2 x 5 x 3600) (1 + sqrt(5/7200)/3 + (5/7200)/9) - 5
  EXPECT_NEAR(BestIntervalSeconds(5, 3600), 186.42, 0.01);
  EXPECT_EQ(BestIntervalSeconds(100, 40), 40) << "saving takes longer than twice the MTBF";
  EXPECT_EQ(BestIntervalSteps(0.2, 11160, 1.55), 43u);
  EXPECT_EQ(BestIntervalSteps(0.001, 1, 60), 1u);
  EXPECT_EQ(BestIntervalSteps(1, 1000, 0), 0u);
}

TEST(Spares, CoverTheNodesInRepairNinetyNineTimesInAHundred) {
  EXPECT_EQ(SparesFor(0, 0.001, 24), 0u);
  for (const double mean : {0.005, 0.3, 2.0, 12.2, 80.0, 450.0}) {
    const uint32_t spares = SparesFor(1000, mean / 1000, 1);
    double sum = 0;
    for (uint32_t k = 0; k <= spares; ++k) {
      sum += std::exp(-mean + k * std::log(mean) - std::lgamma(k + 1.0));
      if (k + 1 == spares) {
        EXPECT_LT(sum, 0.99) << mean << ": one less would do";
      }
    }
    EXPECT_GE(sum, 0.99 - 1e-12) << mean;
  }
  EXPECT_NEAR(SparesFor(1000, 0.6, 1), 657, 2) << "the normal tail joins";
}

}  // namespace
}  // namespace muster::coordinator::core
