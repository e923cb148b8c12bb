// Real Open MPI ranks under real shims, without mpirun.
#include <gmock/gmock.h>
#include <signal.h>

#include <map>
#include <memory>

#include "shim_fixture.h"
#include "worker/shim/cleanup.h"
#include "worker/shim/loop.h"

namespace muster::worker::shim {
namespace {

using ::testing::HasSubstr;

// Plays the workers' part of exchanges between nodes.
class Joiner {
 public:
  explicit Joiner(std::vector<TestNode*> nodes) : nodes_(std::move(nodes)) {
    for (TestNode* node : nodes_) {
      node->on_message = [this, node](const v1::ShimToWorker& message) {
        if (message.has_exchange()) Take(node, message.exchange());
      };
    }
  }
  // Serves all nodes until all have stopped.
  bool UntilAll(const std::function<bool(TestNode*)>& wanted) {
    const int64_t deadline_ms = MonotonicMs() + kTestDeadlineMs;
    while (MonotonicMs() < deadline_ms) {
      bool all = true;
      for (TestNode* node : nodes_) {
        node->Pump(5);
        all = all && wanted(node);
      }
      if (all) return true;
    }
    return false;
  }

 private:
  void Take(TestNode* from, const v1::ShimExchange& exchange) {
    auto& blobs = blobs_[exchange.key()];
    blobs[from->name()] = exchange.blob();
    if (blobs.size() < exchange.participants()) return;
    v1::WorkerToShim message;
    message.mutable_exchange_result()->set_key(exchange.key());
    for (const auto& [name, blob] : blobs) message.mutable_exchange_result()->add_blobs(blob);
    for (TestNode* node : nodes_) node->Send(message);
  }
  std::vector<TestNode*> nodes_;
  std::map<std::string, std::map<std::string, std::string>> blobs_;
};

bool Stopped(TestNode* node) { return node->report().state() == v1::LOCAL_ATTEMPT_STATE_STOPPED; }

class ShimMpi : public ShimTest {
 protected:
  static v1::ShimOrder Mpi(uint32_t nodes, uint32_t ranks, uint32_t node, const std::string& mode) {
    v1::ShimOrder order = Order(nodes, ranks, node, {MUSTER_TEST_RANK, mode});
    ChangeGang(order, [](v1::GangOrder& gang) {
      gang.mutable_spec()->mutable_program()->set_collective(v1::COLLECTIVE_MPI);
    });
    return order;
  }
};

TEST_F(ShimMpi, RanksOfOneNodeFindEachOther) {
  for (uint32_t ranks : {2u, 4u}) {
    TestNode node(root_, "n0-" + std::to_string(ranks));
    node.Start(Mpi(1, ranks, 0, "sum"));
    ASSERT_TRUE(node.UntilStopped());
    for (uint32_t rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(node.rank(rank).exit_code(), 0) << node.Log(rank, "stderr");
      EXPECT_THAT(node.Log(rank, "stdout"),
                  HasSubstr("rank " + std::to_string(rank) + " of " + std::to_string(ranks)));
      EXPECT_EQ(node.rank(rank).progress().step(), 41u);
      EXPECT_EQ(node.rank(rank).progress().phase(), v1::PHASE_STEP);
    }
    node.Exit();
    EXPECT_EQ(node.WaitForEnd(), 0);
    ExpectNoTraces(node);
  }
}

TEST_F(ShimMpi, RanksOfTwoNodesFindEachOther) {
  TestNode first(root_, "n0");
  TestNode second(root_, "n1");
  first.Start(Mpi(2, 2, 0, "sum"));
  second.Start(Mpi(2, 2, 1, "sum"));
  Joiner joiner({&first, &second});
  ASSERT_TRUE(joiner.UntilAll(Stopped));
  for (uint32_t rank = 0; rank < 4; ++rank) {
    TestNode& node = rank < 2 ? first : second;
    EXPECT_EQ(node.rank(rank).exit_code(), 0) << node.Log(rank, "stderr");
    EXPECT_EQ(node.Log(rank, "stdout"), "rank " + std::to_string(rank) + " of 4 sum 10\n");
  }
}

TEST_F(ShimMpi, StopIsSeenOnTheOrderPage) {
  TestNode node(root_, "n0");
  node.Start(Mpi(1, 2, 0, "wait"));
  ASSERT_TRUE(node.UntilState(v1::RANK_STATE_RUNNING));
  node.Stop(50000);
  ASSERT_TRUE(node.UntilStopped());
  for (uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(node.rank(rank).exit_code(), 75) << node.Log(rank, "stderr");
    EXPECT_TRUE(node.rank(rank).stopped_by_us());
  }
}

TEST_F(ShimMpi, StepsThatARepairWaitsForAreToldWithTheReportThatFirstShowsThem) {
  for (const uint64_t stood : {41u, 50u}) {  // the rank is in step 41, and stays there
    TestNode node(root_, "n0-" + std::to_string(stood));
    v1::ShimOrder order = Mpi(1, 2, 0, "hang");
    ChangeGang(order, [stood](v1::GangOrder& gang) { gang.set_stood_step(stood); });
    node.Start(order);
    ASSERT_TRUE(node.Until([&] { return node.rank(0).progress().step() == 41; }));
    EXPECT_EQ(node.rank(0).milestones(), stood == 41 ? 2u : 1u);
    EXPECT_EQ(node.rank(1).milestones(), 0u) << "rank 0 speaks for all";
    node.Exit();
    EXPECT_EQ(node.WaitForEnd(), 0);
  }
}

TEST_F(ShimMpi, KilledShimLeavesNothingAfterCleanUp) {
  TestNode node(root_, "n0");
  node.Start(Mpi(1, 2, 0, "hang"));
  ASSERT_TRUE(node.Until([&] { return node.rank(0).progress().step() == 41; }));
  ASSERT_EQ(kill(node.pid(), SIGKILL), 0);
  EXPECT_EQ(node.WaitForEnd(), -1);
  const absl::Status status = CleanUpAttempt(node.folder());
  EXPECT_TRUE(status.ok()) << status.message();
  ExpectNoTraces(node);
}

TEST_F(ShimMpi, KilledRankEndsTheAttemptAndLeavesNothing) {
  TestNode node(root_, "n0");
  node.Start(Mpi(1, 2, 0, "hang"));
  ASSERT_TRUE(node.Until([&] { return node.rank(1).progress().step() == 41; }));
  ASSERT_EQ(kill(static_cast<pid_t>(node.rank(1).pid()), SIGKILL), 0);
  ASSERT_TRUE(node.UntilStopped());
  EXPECT_FALSE(node.rank(1).stopped_by_us());
  EXPECT_TRUE(node.rank(0).stopped_by_us());
  node.Exit();
  EXPECT_EQ(node.WaitForEnd(), 0);
  ExpectNoTraces(node);
}

}  // namespace
}  // namespace muster::worker::shim
