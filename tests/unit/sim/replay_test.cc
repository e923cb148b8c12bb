// Replays of small clusters: what must hold whatever the faults are.
#include "sim/replay/replay.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/replay/study.h"

namespace muster::sim::replay {
namespace {

StudyOptions Small(uint64_t seed) {
  StudyOptions options;
  options.faults = "llama3";
  options.seed = seed;
  options.nodes = 50;
  options.days = 30;
  options.interval = 5 * kMinute;
  return options;
}

// Llama 3's rate would break 50 nodes 6 times in a month: faults come 20 times as often.
std::vector<Fault> ManyFaults(const Study& study) {
  std::vector<Fault> faults;
  const uint32_t nodes = study.options.nodes + study.spares;
  for (const Fault& fault : DrawLlama3(20 * nodes, study.span, Random(study.options.seed, 5))) {
    Fault mine = fault;
    mine.node %= nodes;
    mine.repaired = mine.at + (mine.repaired - mine.at) / 20;
    faults.push_back(mine);
  }
  return Merged(std::move(faults));
}

Row RunOnce(uint64_t seed, bool stock) {
  auto study = PrepareStudy(Small(seed));
  EXPECT_TRUE(study.ok()) << study.status();
  SetSpares(*study, 6);
  study->faults = ManyFaults(*study);
  return stock ? RunStock(*study) : RunMuster(*study);
}

TEST(Replay, TheLedgerSumsToTheWallTime) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const Row row = RunOnce(seed, false);
    for (const auto& [id, job] : row.result.jobs) {
      if (job.placed < 0) continue;
      if (id == 1) {
        EXPECT_EQ(job.book.total(), row.options.span - job.placed) << "seed " << seed;
      }
      EXPECT_LE(job.book.total(), row.options.span - job.placed)
          << "seed " << seed << " job " << id;
    }
  }
}

TEST(Replay, EveryOutageEndsAndGoodputIsWhatItsPartsLeave) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const Row row = RunOnce(seed, false);
    const JobTimes& big = row.result.jobs.at(1);
    EXPECT_FALSE(big.ended) << "seed " << seed << ": " << big.end_reason;
    EXPECT_GT(row.result.faults_hit_big, 60u) << "seed " << seed;
    Micros lost = 0;
    size_t open = 0;
    for (const Outage& outage : row.result.outages) {
      if (outage.job != 1) continue;
      lost += outage.All();
      open += outage.over ? 0 : 1;
    }
    EXPECT_LE(open, 1u) << "seed " << seed << ": only the newest may be under way";
    // Time not productive = outages + saves + start, up to the step under way at each failure.
    const TimeBook& book = big.book;
    const Micros rest = book.total() - book.of(v1::LEDGER_KIND_PRODUCTIVE) - lost -
                        book.of(v1::LEDGER_KIND_CHECKPOINT_STALL) -
                        book.of(v1::LEDGER_KIND_STARTUP);
    EXPECT_LT(std::abs(static_cast<double>(rest)),
              static_cast<double>(row.result.faults_hit_big * 2 + 4) *
                  static_cast<double>(row.options.costs.step))
        << "seed " << seed;
  }
}

TEST(Replay, TheCoordinatorCountsTheSame) {
  for (const uint64_t seed : {1u, 2u}) {
    const Row row = RunOnce(seed, false);
    EXPECT_NEAR(CoreGoodput(row.result), Goodput(row.result), 0.002) << "seed " << seed;
  }
}

TEST(Replay, ANodeAwayAtTheStartIsWaitedFor) {
  auto study = PrepareStudy(Small(1));
  ASSERT_TRUE(study.ok()) << study.status();
  SetSpares(*study, 0);
  const Micros back = 2 * kHour;
  study->faults = {
      {.at = 0, .repaired = back, .node = 3, .kind = FaultKind::kNodeGone, .cause = "power"}};
  const Row row = RunMuster(*study);
  EXPECT_GE(row.result.jobs.at(1).placed, back);
  EXPECT_LT(row.result.jobs.at(1).placed, back + kMinute);
}

TEST(Replay, ASmallestSizeThatCannotShareTheBatchIsRefused) {
  StudyOptions options = Small(1);
  for (const uint32_t fits : {25u, 10u, 1u}) {
    options.shrink_to = fits;
    EXPECT_TRUE(PrepareStudy(options).ok()) << fits;
  }
  for (const uint32_t wrong : {49u, 40u, 51u}) {
    options.shrink_to = wrong;
    EXPECT_EQ(PrepareStudy(options).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(Replay, OneSeedOneResult) {
  for (const bool stock : {false, true}) {
    const Plan plan;
    const std::string once = ReportJson(plan, {RunOnce(4, stock)});
    EXPECT_EQ(once, ReportJson(plan, {RunOnce(4, stock)}));
    EXPECT_NE(once, ReportJson(plan, {RunOnce(5, stock)}));
  }
}

TEST(Replay, StockLosesMore) {
  const Row muster = RunOnce(6, false);
  const Row stock = RunOnce(6, true);
  EXPECT_GT(Goodput(muster.result), Goodput(stock.result) + 0.02);
  // Each failure costs it the time-out at least.
  for (const Outage& outage : stock.result.outages) {
    if (outage.job == 1 && outage.over) {
      EXPECT_GE(outage.Down(), 10 * kMinute);
    }
  }
}

TEST(Replay, WithoutFaultsOnlySavesCost) {
  auto study = PrepareStudy(Small(1));
  ASSERT_TRUE(study.ok()) << study.status();
  study->faults.clear();
  const Row row = RunMuster(*study);
  const TimeBook& book = row.result.jobs.at(1).book;
  EXPECT_TRUE(row.result.outages.empty());
  EXPECT_EQ(book.of(v1::LEDGER_KIND_RECOMPUTE), 0);
  const double stall = static_cast<double>(row.options.costs.Stall(50));
  const double each = static_cast<double>(row.options.interval) + stall;
  EXPECT_NEAR(1 - Goodput(row.result), stall / each, 0.0005);
}

}  // namespace
}  // namespace muster::sim::replay
