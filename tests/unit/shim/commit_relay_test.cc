#include "worker/shim/commit_relay.h"

#include <gtest/gtest.h>

namespace muster::worker::shim {
namespace {

muster_frame_commit Commit(uint64_t step) {
  muster_frame_commit commit = {};
  commit.step = step;
  commit.bytes = 99;
  return commit;
}

TEST(CommitRelay, KeepsARequestUntilItIsAnswered) {
  CommitRelay relay(7, 2);
  const v1::ShimToWorker sent = relay.Requested(Commit(20), 1000);
  EXPECT_EQ(sent.commit_request().job_id(), 7u);
  EXPECT_EQ(sent.commit_request().checkpoint().attempt(), 2u);
  EXPECT_EQ(sent.commit_request().checkpoint().bytes(), 99u);
  EXPECT_FALSE(sent.commit_request().checkpoint().committed());
  ASSERT_EQ(relay.Unsettled().size(), 1u);
  v1::CommitReply reply;
  reply.set_step(20);
  EXPECT_TRUE(relay.Answered(reply));
  EXPECT_FALSE(relay.Answered(reply)) << "repeated";
  EXPECT_TRUE(relay.Unsettled().empty());
}

TEST(CommitRelay, KeepsADoneUntilItIsAcknowledged) {
  CommitRelay relay(7, 2);
  EXPECT_TRUE(relay.Done(Commit(20), 1000).commit_done().checkpoint().committed());
  relay.Done(Commit(40), 2000);
  v1::CommitAck ack;
  ack.set_step(20);
  relay.Acknowledged(ack);
  const std::vector<v1::ShimToWorker> left = relay.Unsettled();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].commit_done().checkpoint().step(), 40u);
}

TEST(CommitRelay, TellsPrunedStepsOnceTogether) {
  CommitRelay relay(7, 2);
  relay.Pruned({20, 1});
  relay.Pruned({40, 2});
  const std::vector<v1::ShimToWorker> messages = relay.TakePruned();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].pruned().checkpoints_size(), 2);
  EXPECT_TRUE(relay.TakePruned().empty());
}

}  // namespace
}  // namespace muster::worker::shim
