#include "sim/replay/time_book.h"

#include <gtest/gtest.h>

#include <numeric>

#include "sim/random.h"

namespace muster::sim::replay {
namespace {

TEST(TimeBook, StepsDoneAgainAreRecompute) {
  TimeBook book(0);
  book.Open(100, v1::LEDGER_KIND_STARTUP);
  book.EnterSteps(130, 0, 10);  // 4 steps, and a part of the fifth
  book.Enter(177, v1::LEDGER_KIND_DETECT);
  book.Enter(180, v1::LEDGER_KIND_RESTART);
  book.EnterSteps(200, 2, 10);  // steps 3 and 4 again, then a new one
  book.Close(235);
  EXPECT_EQ(book.of(v1::LEDGER_KIND_STARTUP), 30);
  EXPECT_EQ(book.of(v1::LEDGER_KIND_DETECT), 3);
  EXPECT_EQ(book.of(v1::LEDGER_KIND_RESTART), 20);
  EXPECT_EQ(book.of(v1::LEDGER_KIND_RECOMPUTE), 7 + 20);
  EXPECT_EQ(book.of(v1::LEDGER_KIND_PRODUCTIVE), 40 + 10 + 5);  // the last is not cut off
  EXPECT_EQ(book.total(), 135);
  EXPECT_EQ(book.steps_again(), 2u);
  EXPECT_EQ(book.best_step(), 5u);
}

TEST(TimeBook, KindsSumToTheTimeWhateverHappens) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random dice(seed);
    TimeBook book(50);
    Micros now = dice.Between(0, 100);
    const Micros opened = now;
    book.Open(now, v1::LEDGER_KIND_STARTUP);
    for (int i = 0; i < 50; ++i) {
      if (dice.Chance(0.5)) {
        const uint64_t best = book.best_step();
        book.EnterSteps(now, best - dice.Below(best + 1), dice.Between(1, 20));
      } else {
        book.Enter(now, static_cast<v1::LedgerKind>(dice.Between(2, 11)));
      }
      now += dice.Between(0, 90);
    }
    book.Close(now);
    ASSERT_EQ(book.total(), now - opened) << "seed " << seed;
    const auto& bins = book.productive_bins();
    ASSERT_EQ(std::accumulate(bins.begin(), bins.end(), Micros{0}),
              book.of(v1::LEDGER_KIND_PRODUCTIVE))
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace muster::sim::replay
