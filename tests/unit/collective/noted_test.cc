#include "trainer/collective/noted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "tests/unit/collective/conformance.h"
#include "tests/unit/collective/recorded_ring.h"
#include "trainer/collective/in_process/in_process.h"

namespace muster::trainer::collective {
namespace {

using ::testing::ElementsAre;

// Runs `rank` on every rank of a noted world, each with a ring of its own.
void OnNotedWorld(int size, std::vector<RecordedRing>* rings,
                  const std::function<void(Collective&)>& rank) {
  auto world = MakeInProcessWorld(size);
  rings->resize(world.size());
  std::vector<std::thread> threads;
  for (size_t r = 0; r < world.size(); ++r) {
    world[r] = Noted(std::move(world[r]), &(*rings)[r], MUSTER_GROUP_DATA);
    threads.emplace_back([&world, &rank, r] {
      rank(*world[r]);
      world[r].reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class NotedConformance : public testing::TestWithParam<std::tuple<int, size_t>> {};

TEST_P(NotedConformance, InProcess) {
  const auto [size, index] = GetParam();
  const Check& check = ConformanceChecks()[index];
  std::vector<RecordedRing> rings;
  std::vector<std::string> wrong(static_cast<size_t>(size));
  OnNotedWorld(size, &rings, [&](Collective& world) {
    wrong[static_cast<size_t>(world.rank())] = check.run(world);
  });
  for (size_t r = 0; r < wrong.size(); ++r) EXPECT_EQ(wrong[r], "") << "rank " << r;
  for (const RecordedRing& ring : rings) {
    for (const RecordedRing::Note& note : ring.notes) {
      EXPECT_TRUE(note.states == "bd" || note.states == "swd") << note.states;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, NotedConformance,
                         testing::Combine(testing::Values(1, 2, 4),
                                          testing::Range(size_t{0}, ConformanceChecks().size())),
                         [](const auto& test) {
                           return "n" + std::to_string(std::get<0>(test.param)) + "_" +
                                  ConformanceChecks()[std::get<1>(test.param)].name;
                         });

TEST(Noted, EachOperationIsOneNoteWithItsBytes) {
  std::vector<RecordedRing> rings;
  OnNotedWorld(2, &rings, [](Collective& group) {
    std::vector<float> all(6, 1.0f);
    std::vector<float> part(3);
    const std::vector<size_t> counts = {3, 3};
    EXPECT_TRUE(group.AllReduce(all).ok());
    EXPECT_TRUE(group.AllReduceMax(all).ok());
    EXPECT_TRUE(group.ReduceScatter(all, part, counts).ok());
    EXPECT_TRUE(group.AllGather(part, all, counts).ok());
    EXPECT_TRUE(group.Broadcast(std::as_writable_bytes(std::span(part)), 0).ok());
    EXPECT_TRUE(group.AllGatherBytes(std::as_bytes(std::span(part))).ok());
    EXPECT_TRUE(group.AllToAllBytes({std::vector<std::byte>(5), std::vector<std::byte>(2)}).ok());
    EXPECT_TRUE(group.Barrier().ok());
    EXPECT_TRUE(group.Progress().ok());
    EXPECT_TRUE(group.Split(0).ok());
  });
  for (const RecordedRing& ring : rings) {
    EXPECT_THAT(ring.Text(),
                ElementsAre("1/2/24/bd", "1/2/24/bd", "2/2/24/swd", "3/2/24/swd", "4/2/12/bd",
                            "3/2/12/bd", "8/2/7/bd", "5/2/0/bd", "5/2/0/bd"));
  }
}

// A ring that looks into the other end: nobody can be done before all have begun.
TEST(Noted, ARankIsInsideWhileTheOtherHasNotCome) {
  auto world = MakeInProcessWorld(2);
  RecordedRing ring;
  auto first = Noted(std::move(world[0]), &ring, MUSTER_GROUP_WORLD);
  std::vector<float> all(2, 1.0f);
  std::vector<float> part(1);
  const std::vector<size_t> counts = {1, 1};
  auto early = first->StartReduceScatter(all, part, counts);
  ASSERT_TRUE(early.ok());
  auto late = first->StartAllGather(part, all, counts);
  ASSERT_TRUE(late.ok());
  EXPECT_THAT(ring.Text(), ElementsAre("2/1/8/s", "3/1/8/s"));
  world[1].reset();
  EXPECT_EQ((*late)->Wait().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(ring.Text(), ElementsAre("2/1/8/s", "3/1/8/swd"));
  EXPECT_EQ((*early)->Wait().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(first->Barrier().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(ring.Text(), ElementsAre("2/1/8/swd", "3/1/8/swd", "5/1/0/bd"))
      << "failed, and no longer inside";
}

TEST(Noted, CostsNothingWithoutARingOrWithoutOthers) {
  RecordedRing ring;
  auto pair = MakeInProcessWorld(2);
  Collective* const plain = pair[0].get();
  EXPECT_EQ(NotedBeside(*plain, nullptr, MUSTER_GROUP_WORLD), nullptr);
  pair[0] = Noted(std::move(pair[0]), nullptr, MUSTER_GROUP_WORLD);
  EXPECT_EQ(pair[0].get(), plain);
  auto alone = MakeInProcessWorld(1);
  Collective* const one = alone[0].get();
  EXPECT_EQ(NotedBeside(*one, &ring, MUSTER_GROUP_WORLD), nullptr);
  alone[0] = Noted(std::move(alone[0]), &ring, MUSTER_GROUP_WORLD);
  EXPECT_EQ(alone[0].get(), one);
}

TEST(Noted, BesideLeavesTheOtherToItsOwner) {
  auto world = MakeInProcessWorld(2);
  RecordedRing ring;
  { const auto beside = NotedBeside(*world[0], &ring, MUSTER_GROUP_WORLD); }
  std::thread other([&] { EXPECT_TRUE(world[1]->Barrier().ok()); });
  EXPECT_TRUE(world[0]->Barrier().ok()) << "rank 0 has not left";
  other.join();
}

}  // namespace
}  // namespace muster::trainer::collective
