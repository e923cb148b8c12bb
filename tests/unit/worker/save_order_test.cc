// Orders to save, as the worker passes them on.
#include "tests/unit/worker/core_fixture.h"

namespace muster::worker::core {
namespace {

using Lines = std::vector<std::string>;

TEST_F(CoreTest, OrderToSaveIsRepeatedUntilTheShimHasToldItsRanks) {
  const auto order = [this](uint64_t attempt, uint64_t save) {
    v1::CoordinatorMessage message = Order();
    message.mutable_save()->set_job_id(7);
    message.mutable_save()->set_attempt(attempt);
    message.mutable_save()->set_save(save);
    return Feed(FromCoordinator{message});
  };
  const auto told = [this](uint64_t save) {
    FromShim from{Key(7, 1), {}};
    v1::AttemptReport& report = *from.message.mutable_report();
    report.set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
    report.set_save(save);
    report.add_ranks()->set_state(v1::RANK_STATE_RUNNING);
    return Feed(std::move(from));
  };
  Connect();
  EXPECT_EQ(order(1, 1), Lines({})) << "the attempt is not here";
  Start(7, 1);
  EXPECT_EQ(order(1, 1), Lines({})) << "no shim yet; the coordinator says it again";
  Feed(ShimConnected{Key(7, 1)});
  ShimReports(7, 1, false, v1::RANK_STATE_RUNNING);
  EXPECT_EQ(order(1, 1), Lines({"shim 7.1: save 1"}));
  EXPECT_EQ(order(1, 1), Lines({"shim 7.1: save 1"})) << "the first may have been lost";
  EXPECT_EQ(told(1), Lines({"live 7.1 [0]", "report 7.1 ACTIVE 0:RUNNING"}))
      << "told at once, so that nobody says it again";
  EXPECT_EQ(order(1, 1), Lines({"report 7.1 ACTIVE 0:RUNNING"})) << "that report was lost";
  EXPECT_EQ(order(2, 5), Lines({})) << "of another attempt";
  Feed(ShimDisconnected{Key(7, 1)});
  EXPECT_EQ(order(1, 2), Lines({}));
  Feed(ShimConnected{Key(7, 1)});
  EXPECT_EQ(order(1, 2), Lines({"shim 7.1: save 2"}));
}

}  // namespace
}  // namespace muster::worker::core
