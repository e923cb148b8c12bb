// The decayed use of queues.
#include "coordinator/core/queue_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace muster::coordinator::core {
namespace {

constexpr double kHalfLifeS = 3'600;

// One stretch of slots held.
struct Stretch {
  uint64_t slots;
  int64_t from_ms, to_ms;
};

// By definition, in small steps: the judge of the formula.
double Summed(const std::vector<Stretch>& stretches, int64_t at_ms) {
  double sum = 0;
  for (const Stretch& stretch : stretches) {
    constexpr double kStepMs = 100;
    const auto to_ms = static_cast<double>(std::min(stretch.to_ms, at_ms));
    for (double ms = static_cast<double>(stretch.from_ms); ms < to_ms; ms += kStepMs) {
      const double step_s = std::min(kStepMs, to_ms - ms) / 1e3;
      const double age_s = (static_cast<double>(at_ms) - ms) / 1e3 - step_s / 2;
      sum += static_cast<double>(stretch.slots) * step_s * std::exp2(-age_s / kHalfLifeS);
    }
  }
  return sum;
}

TEST(QueueTable, UseFadesByHalfInAHalfLife) {
  QueueTable table(absl::Seconds(kHalfLifeS));
  table.TakeSlots("default", "ann", 8, 0);
  table.FreeSlots("default", "ann", 8, 10'000);
  const Queue& queue = *table.Find("default");
  const double fresh = table.UsageAt(queue, 10'000);
  EXPECT_NEAR(fresh, 80, 0.1);
  EXPECT_NEAR(table.UsageAt(queue, 10'000 + 3'600'000), fresh / 2, 1e-9);
  EXPECT_EQ(table.UsageAt(queue, 0), fresh) << "time going back counts as standing still";
  EXPECT_EQ(queue.slots_held, 0u);
  EXPECT_TRUE(queue.slots_by_user.empty());
}

TEST(QueueTable, UseIsTheSumOverAllAttemptsAtAnyTime) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    QueueTable table(absl::Seconds(kHalfLifeS));
    std::vector<Stretch> all;
    std::vector<size_t> open;
    int64_t now_ms = 0;
    for (int i = 0; i < 40; ++i) {
      now_ms += static_cast<int64_t>(random() % 120'000);
      if (!open.empty() && random() % 2 == 0) {
        all[open.back()].to_ms = now_ms;
        table.FreeSlots("default", "ann", all[open.back()].slots, now_ms);
        open.pop_back();
      } else {
        open.push_back(all.size());
        all.push_back({1 + random() % 16, now_ms, INT64_MAX});
        table.TakeSlots("default", "ann", all.back().slots, now_ms);
      }
      const int64_t later_ms = now_ms + static_cast<int64_t>(random() % 600'000);
      const double summed = Summed(all, later_ms);
      ASSERT_NEAR(table.UsageAt(*table.Find("default"), later_ms), summed, 1e-6 * summed + 1e-6);
    }
  }
}

TEST(QueueTable, ReplacingTheSpecKeepsTheUse) {
  QueueTable table(absl::Hours(24));
  v1::QueueSpec spec;
  spec.set_name("research");
  spec.set_weight(2);
  table.Set(spec);
  table.TakeSlots("research", "ann", 4, 0);
  spec.set_weight(3);
  table.Set(spec);
  EXPECT_EQ(table.Find("research")->slots_held, 4u);
  EXPECT_EQ(table.Find("research")->spec.weight(), 3);
  EXPECT_EQ(table.Names(), "default, research");
  EXPECT_EQ(table.Find("nowhere"), nullptr);
}

}  // namespace
}  // namespace muster::coordinator::core
