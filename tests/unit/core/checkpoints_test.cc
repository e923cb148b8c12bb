#include "coordinator/core/checkpoints.h"

#include <gtest/gtest.h>

namespace muster::coordinator::core {
namespace {

v1::CheckpointRef Ref(uint64_t step, uint64_t attempt) {
  v1::CheckpointRef ref;
  ref.set_step(step);
  ref.set_attempt(attempt);
  return ref;
}

TEST(CheckpointLedger, ListsNewestFirstByStepThenAttempt) {
  CheckpointLedger ledger;
  ledger.Permit(Ref(20, 1));
  ledger.Permit(Ref(40, 1));
  ledger.Permit(Ref(40, 2));
  ledger.Permit(Ref(40, 2));
  ASSERT_EQ(ledger.refs().size(), 3u);
  EXPECT_EQ(ledger.refs()[0].attempt(), 2u);
  EXPECT_EQ(ledger.refs()[2].step(), 20u);
}

TEST(CheckpointLedger, OnlyCommittedOnesAreTheNewest) {
  CheckpointLedger ledger;
  ledger.Permit(Ref(20, 1));
  ledger.Permit(Ref(40, 1));
  EXPECT_EQ(ledger.NewestCommitted(), nullptr);
  EXPECT_TRUE(ledger.Commit(Ref(20, 1)));
  EXPECT_EQ(ledger.NewestCommitted()->step(), 20u);
  EXPECT_TRUE(ledger.Commit(Ref(40, 1)));
  EXPECT_FALSE(ledger.Commit(Ref(30, 1)));
  ledger.Forget(Ref(40, 1));
  EXPECT_EQ(ledger.NewestCommitted()->step(), 30u);
  EXPECT_EQ(ledger.Find(40, 1), nullptr);
}

TEST(CheckpointLedger, SavingAStepOnceMoreIsNoProgress) {
  CheckpointLedger ledger;
  EXPECT_TRUE(ledger.Commit(Ref(40, 1)));
  EXPECT_FALSE(ledger.Commit(Ref(40, 2)));
  ledger.Forget(Ref(40, 1));
  ledger.Forget(Ref(40, 2));
  EXPECT_FALSE(ledger.Commit(Ref(40, 3)));
  EXPECT_TRUE(ledger.Commit(Ref(41, 3)));
}

TEST(CheckpointLedger, ABadOneIsNotTheNewestAndStaysKnown) {
  CheckpointLedger ledger;
  ledger.Commit(Ref(30, 1));
  ledger.Commit(Ref(40, 1));
  EXPECT_EQ(ledger.CommittedBefore(*ledger.NewestCommitted())->step(), 30u);
  ledger.MarkBad(40, 1);
  EXPECT_EQ(ledger.NewestCommitted()->step(), 30u);
  EXPECT_EQ(ledger.CommittedBefore(Ref(30, 1)), nullptr);
  ASSERT_NE(ledger.Find(40, 1), nullptr);
  EXPECT_TRUE(ledger.Find(40, 1)->bad());
  EXPECT_FALSE(ledger.Commit(Ref(40, 4))) << "the step was reached before";
  EXPECT_EQ(ledger.NewestCommitted()->attempt(), 4u);
}

}  // namespace
}  // namespace muster::coordinator::core
