// What each stretch of a job's time is called, case by case.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "coordinator/core/ledger_sum.h"

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
  v1::NodeShare* share = attempt.facts.add_shares();
  share->set_node("n1");
  share->add_slots(0);
  share->add_slots(1);
  return attempt;
}

void Steps(Attempt& attempt, uint64_t first, uint64_t last, double productive,
           int64_t first_step_ms) {
  attempt.facts.set_first_step(first);
  attempt.facts.set_last_step(last);
  attempt.facts.set_productive_seconds(productive);
  attempt.facts.set_first_step_unix_ms(first_step_ms);
}

Job Trained() {
  Job job;
  job.id = JobId(1);
  job.spec.mutable_train();
  return job;
}

// "productive 100000, restart 2000": the kinds that have something, in milliseconds of wall time.
std::string Wall(const Job& job, int64_t now_ms, const LedgerCut& cut = {}) {
  LedgerSum sum;
  sum.Add(job, now_ms, cut);
  std::string text;
  for (size_t kind = 0; kind < sum.wall_ms().size(); ++kind) {
    if (sum.wall_ms()[kind] == 0) continue;
    const std::string name = v1::LedgerKind_Name(static_cast<int>(kind));
    text += (text.empty() ? "" : ", ") + name.substr(sizeof "LEDGER_KIND_" - 1) + " " +
            std::to_string(sum.wall_ms()[kind]);
  }
  return text;
}

TEST(Ledger, AKillAndItsRepair) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 50'000, 51'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 45, 45, 3'000);
  job.attempts.back().facts.set_failed_since_unix_ms(49'500);
  job.attempts.push_back(Ended(2, 52'000, 0, 120'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 40, 100, 60, 55'000);
  job.attempts.back().facts.set_load_seconds(1.5);
  job.end_state = v1::JOB_STATE_SUCCEEDED;
  job.end_unix_ms = 120'000;
  // The first step ended at 3 s and took a typical second, so the start took 2 s.
  EXPECT_EQ(Wall(job, 999'000),
            "PRODUCTIVE 100000, STARTUP 2000, CHECKPOINT_LOAD 1500, RECOMPUTE 5000, DETECT 500, "
            "RESTART 1500, WAITING 1000, OVERHEAD 8500");
  LedgerSum sum;
  sum.Add(job, 999'000, {});
  const v1::Ledger said = sum.Say({.per_slot_hour = 2, .currency = "EUR"}, true);
  EXPECT_DOUBLE_EQ(said.wall_seconds(), 120);
  EXPECT_DOUBLE_EQ(said.slot_seconds(), 238);
  EXPECT_DOUBLE_EQ(said.goodput(), 200.0 / 238);
  EXPECT_DOUBLE_EQ(said.cost(), 238.0 / 3600 * 2);
  EXPECT_EQ(said.steps_recomputed(), 5u);
  ASSERT_EQ(said.causes_size(), 1);
  EXPECT_EQ(said.causes(0).incidents(), 1u);
  EXPECT_DOUBLE_EQ(said.causes(0).slot_seconds(), 2 * (5 + 0.5 + 1.5 + 1.5));
}

TEST(Ledger, ADamagedCheckpointCostsOlderAttemptsToo) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 10'000, 10'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 10, 10, 500);
  job.attempts.push_back(Ended(2, 10'000, 15'000, 15'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 10, 14, 4, 11'000);
  job.attempts.push_back(Ended(3, 15'000, 0, 30'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 5, 20, 15, 16'000);
  EXPECT_EQ(Wall(job, 30'000), "PRODUCTIVE 20000, RECOMPUTE 9000, OVERHEAD 1000");
}

TEST(Ledger, WhatNobodySavedIsLostAsSoonAsItFailed) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 50'000, 50'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 49, 49, 2'000);
  job.committed_step = 40;
  EXPECT_EQ(Wall(job, 60'000), "PRODUCTIVE 40000, STARTUP 1000, RECOMPUTE 9000, WAITING 10000");
  job.spec.mutable_program();  // may keep checkpoints of its own
  job.committed_step = 0;
  EXPECT_EQ(Wall(job, 50'000), "PRODUCTIVE 49000, STARTUP 1000");
}

TEST(Ledger, AHangIsNoDetection) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 90'000, 91'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  Steps(job.attempts.back(), 0, 30, 30, 1'000);
  job.attempts.back().facts.set_failed_since_unix_ms(30'000);
  job.attempts.back().facts.set_hung(true);
  job.committed_step = 30;
  EXPECT_EQ(Wall(job, 91'000), "PRODUCTIVE 30000, HANG 60000, RESTART 1000");
}

TEST(Ledger, ARepairThatFailsIsStillARepair) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 10'000, 10'000, v1::ATTEMPT_OUTCOME_NODE_LOST));
  Steps(job.attempts.back(), 0, 8, 8, 3'000);
  job.committed_step = 8;
  job.attempts.push_back(Ended(2, 10'000, 14'000, 15'000, v1::ATTEMPT_OUTCOME_RANK_FAILED));
  job.attempts.push_back(Ended(3, 16'000, 0, 30'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 8, 18, 10, 20'000);
  EXPECT_EQ(Wall(job, 30'000),
            "PRODUCTIVE 18000, STARTUP 2000, RESTART 8000, WAITING 1000, OVERHEAD 1000");
  LedgerSum sum;
  sum.Add(job, 30'000, {});
  const v1::Ledger said = sum.Say({}, true);
  ASSERT_EQ(said.causes_size(), 2);  // what came after the second failure is the second's
  EXPECT_EQ(said.causes(0).cause(), "node lost");
  EXPECT_DOUBLE_EQ(said.causes(0).slot_seconds(), 2 * 4);
  EXPECT_DOUBLE_EQ(said.causes(1).slot_seconds(), 2 * (1 + 3));
}

TEST(Ledger, PreemptionWaitsAndStartsAgain) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 20'000, 24'000, v1::ATTEMPT_OUTCOME_PREEMPTED));
  Steps(job.attempts.back(), 0, 19, 19, 1'000);
  job.attempts.back().facts.set_checkpoint_seconds(2);
  job.committed_step = 19;
  job.attempts.push_back(Ended(2, 60'000, 0, 81'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 19, 37, 18, 64'000);
  EXPECT_EQ(Wall(job, 81'000),
            "PRODUCTIVE 37000, STARTUP 3000, CHECKPOINT_STALL 2000, IDLE 3000, WAITING 36000");
}

TEST(Ledger, StragglersAreOutOfProductive) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 0, 50'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 0, 50, 50, 1'000);
  job.attempts.back().facts.set_straggler_seconds(7.5);
  EXPECT_EQ(Wall(job, 50'000), "PRODUCTIVE 42500, STRAGGLER 7500");
}

TEST(Ledger, AProgramWithoutStepsIsProductiveWhileItRuns) {
  Job job;
  job.spec.mutable_program();
  job.attempts.push_back(Ended(1, 0, 9'000, 9'500, v1::ATTEMPT_OUTCOME_CANCELLED));
  job.attempts.back().facts.set_running_unix_ms(1'000);
  EXPECT_EQ(Wall(job, 9'500), "PRODUCTIVE 8000, STARTUP 1000, IDLE 500");
}

TEST(Ledger, TheRestOfWholeNodesIsIdle) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 0, 10'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  Steps(job.attempts.back(), 0, 10, 10, 1'000);
  job.attempts.back().left_slots = {6};
  LedgerSum sum;
  sum.Add(job, 10'000, {});
  EXPECT_EQ(sum.slot_ms()[v1::LEDGER_KIND_PRODUCTIVE], 20'000);
  EXPECT_EQ(sum.slot_ms()[v1::LEDGER_KIND_IDLE], 60'000);
  EXPECT_EQ(sum.wall_ms()[v1::LEDGER_KIND_IDLE], 0);
}

TEST(Ledger, ASpareIsIdleButForWhatItLends) {
  Job job = Trained();
  job.attempts.push_back(Ended(1, 0, 0, 10'000, v1::ATTEMPT_OUTCOME_SUCCEEDED));
  job.spare_log.Set(NodeId("n9"), 8, 0);
  job.spare_log.Set(NodeId("n9"), 3, 2'000);  // five slots are lent
  job.spare_log.Set(NodeId("n9"), 8, 6'000);
  job.spare_log.End(NodeId("n9"), 9'000);
  LedgerSum sum;
  sum.Add(job, 10'000, {});
  EXPECT_EQ(sum.slot_ms()[v1::LEDGER_KIND_IDLE], 8 * 2'000 + 3 * 4'000 + 8 * 3'000);
  const NodeId spare("n9");
  LedgerSum there;
  there.Add(job, 10'000, {.since_ms = 1'000, .until_ms = 7'000, .node = &spare});
  EXPECT_EQ(there.slot_ms()[v1::LEDGER_KIND_IDLE], 8 * 1'000 + 3 * 4'000 + 8 * 1'000);
}

TEST(Ledger, GivingASpareBackAndTakingItAgainIsOneSpan) {
  SpareLog log;
  log.Set(NodeId("n1"), 8, 5);
  log.End(NodeId("n1"), 9);
  log.Set(NodeId("n1"), 8, 9);
  ASSERT_EQ(log.spans().size(), 1u);
  EXPECT_EQ(log.spans()[0].until_ms, SpareSpan::kOpen);
}

TEST(Ledger, CausesInShort) {
  Attempt attempt = Ended(1, 0, 1, 2, v1::ATTEMPT_OUTCOME_RANK_FAILED);
  attempt.facts.mutable_cause()->set_signal(9);
  EXPECT_EQ(CauseInShort(attempt), "rank killed by SIGKILL");
  attempt.facts.mutable_cause()->set_signal(40);
  EXPECT_EQ(CauseInShort(attempt), "rank killed by signal 40");
  attempt.facts.mutable_cause()->set_signal(0);
  attempt.facts.mutable_cause()->set_exit_code(3);
  EXPECT_EQ(CauseInShort(attempt), "rank exited 3");
  attempt.facts.set_hung(true);
  EXPECT_EQ(CauseInShort(attempt), "ranks stood still");
  attempt.facts.set_outcome(v1::ATTEMPT_OUTCOME_NODE_LOST);
  EXPECT_EQ(CauseInShort(attempt), "node lost");
}

}  // namespace
}  // namespace muster::coordinator::core
