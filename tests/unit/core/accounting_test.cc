#include "coordinator/core/accounting.h"

#include <gtest/gtest.h>

#include <random>

namespace muster::coordinator::core {
namespace {

Attempt Ended(uint64_t number, int64_t start, int64_t stop, int64_t end,
              v1::AttemptOutcome outcome) {
  Attempt attempt;
  attempt.facts.set_number(number);
  attempt.facts.set_state(v1::ATTEMPT_STATE_ENDED);
  attempt.facts.set_outcome(outcome);
  attempt.facts.set_start_unix_ms(start);
  attempt.facts.set_end_unix_ms(end);
  attempt.stop_unix_ms = stop;
  return attempt;
}

void Steps(Attempt& attempt, uint64_t first, uint64_t last, double productive,
           int64_t first_step_ms) {
  attempt.facts.set_first_step(first);
  attempt.facts.set_last_step(last);
  attempt.facts.set_productive_seconds(productive);
  attempt.facts.set_first_step_unix_ms(first_step_ms);
}

double Sum(const v1::JobAccounting& sum) {
  return sum.productive_seconds() + sum.recompute_seconds() + sum.checkpoint_seconds() +
         sum.startup_seconds() + sum.down_seconds() + sum.other_seconds();
}

TEST(Accounting, LostStepsAreRecompute) {
  Job job;
  job.attempts.push_back(Ended(1, 0, 50'000, 51'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 45, 45, 3'000);
  job.attempts.push_back(Ended(2, 52'000, 0, 120'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 40, 100, 60, 55'000);
  job.end_state = v1::JOB_STATE_SUCCEEDED;
  job.end_unix_ms = 120'000;
  const v1::JobAccounting sum = AccountOf(job, 999'000);
  EXPECT_DOUBLE_EQ(sum.wall_seconds(), 120);
  EXPECT_DOUBLE_EQ(sum.recompute_seconds(), 5);
  EXPECT_DOUBLE_EQ(sum.productive_seconds(), 100);
  EXPECT_DOUBLE_EQ(sum.startup_seconds(), 6);
  EXPECT_DOUBLE_EQ(sum.down_seconds(), 2);
  EXPECT_DOUBLE_EQ(sum.other_seconds(), 7);
  EXPECT_EQ(sum.steps_recomputed(), 5u);
  EXPECT_DOUBLE_EQ(sum.goodput(), 100.0 / 120);
}

TEST(Accounting, ADamagedCheckpointCostsOlderAttemptsToo) {
  Job job;
  job.attempts.push_back(Ended(1, 0, 10'000, 10'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 10, 10, 500);
  job.attempts.push_back(Ended(2, 10'000, 15'000, 15'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 10, 14, 4, 11'000);
  job.attempts.push_back(Ended(3, 15'000, 0, 30'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 5, 20, 15, 16'000);
  EXPECT_EQ(AccountOf(job, 30'000).steps_recomputed(), 5u + 4u);
  EXPECT_DOUBLE_EQ(AccountOf(job, 30'000).recompute_seconds(), 9);
}

TEST(Accounting, KindsSumToWallProperty) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](int64_t n) {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
    };
    Job job;
    int64_t now = 1000;
    for (int64_t i = 1 + below(5); i > 0; --i) {
      const int64_t start = now, stop = start + below(9000), end = stop + below(3000);
      const auto outcome = static_cast<v1::AttemptOutcome>(1 + below(5));
      job.attempts.push_back(Ended(job.attempts.size() + 1, start, stop, end, outcome));
      const auto first = static_cast<uint64_t>(below(20));
      Steps(job.attempts.back(), first, first + static_cast<uint64_t>(below(20)),
            static_cast<double>(below(12)), below(2) == 0 ? 0 : start + below(9000));
      job.attempts.back().facts.set_checkpoint_seconds(static_cast<double>(below(4)));
      now = end + below(2000);
    }
    const v1::JobAccounting sum = AccountOf(job, now);
    ASSERT_NEAR(Sum(sum), sum.wall_seconds(), 1e-6) << "seed " << seed;
    for (const double kind : {sum.productive_seconds(), sum.recompute_seconds(),
                              sum.startup_seconds(), sum.down_seconds(), sum.other_seconds()}) {
      ASSERT_GE(kind, -1e-9) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace muster::coordinator::core
