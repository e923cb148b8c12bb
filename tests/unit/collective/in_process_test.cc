#include "trainer/collective/in_process/in_process.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/collective/conformance.h"

namespace muster::trainer::collective {
namespace {

class Conformance : public testing::TestWithParam<std::tuple<int, size_t>> {};

TEST_P(Conformance, InProcess) {
  const auto [size, index] = GetParam();
  const Check& check = ConformanceChecks()[index];
  auto world = MakeInProcessWorld(size);
  std::vector<std::string> wrong(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (size_t r = 0; r < world.size(); ++r) {
    threads.emplace_back([&, r] {
      wrong[r] = check.run(*world[r]);
      world[r].reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t r = 0; r < wrong.size(); ++r) EXPECT_EQ(wrong[r], "") << "rank " << r;
}

INSTANTIATE_TEST_SUITE_P(Worlds, Conformance,
                         testing::Combine(testing::Range(1, 9),
                                          testing::Range(size_t{0}, ConformanceChecks().size())),
                         [](const auto& test) {
                           return "n" + std::to_string(std::get<0>(test.param)) + "_" +
                                  ConformanceChecks()[std::get<1>(test.param)].name;
                         });

TEST(InProcess, ARankThatLeavesIsUnavailableToThoseWhoWait) {
  auto world = MakeInProcessWorld(2);
  world[1].reset();
  const absl::Status status = world[0]->Barrier();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(status.message()), "collective 0: rank 1 left the group");
}

}  // namespace
}  // namespace muster::trainer::collective
