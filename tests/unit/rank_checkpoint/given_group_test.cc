#include "rank/checkpoint/given_group.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/unit/rank_checkpoint/thread_group.h"

namespace muster::rank {
namespace {

using Bytes = std::vector<std::byte>;

// What rank `from` has for rank `to`: often nothing, sometimes much.
Bytes Parcel(uint64_t seed, int from, int to) {
  std::mt19937_64 random(seed * 1009 + static_cast<uint64_t>(from) * 31 +
                         static_cast<uint64_t>(to));
  const uint64_t largest = std::array<uint64_t, 4>{0, 1, 300, 50'000}[random() % 4];
  Bytes bytes(random() % (largest + 1));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void Exchange(uint64_t seed, Group& group) {
  std::vector<Bytes> to;
  for (int r = 0; r < group.size(); ++r) to.push_back(Parcel(seed, group.rank(), r));
  const auto from = group.AllToAllBytes(to);
  ASSERT_TRUE(from.ok()) << from.status();
  const auto all = group.AllGatherBytes(Parcel(seed, group.rank(), 99));
  ASSERT_TRUE(all.ok()) << all.status();
  for (int r = 0; r < group.size(); ++r) {
    const auto at = static_cast<size_t>(r);
    EXPECT_EQ((*from)[at], Parcel(seed, r, group.rank())) << "seed " << seed << " from " << r;
    EXPECT_EQ((*all)[at], Parcel(seed, r, 99)) << "seed " << seed << " of " << r;
    Bytes data = Parcel(seed, r, 98);
    const Bytes wanted = data;
    if (group.rank() != r) std::fill(data.begin(), data.end(), std::byte{0});
    ASSERT_TRUE(group.Broadcast(data, r).ok());
    EXPECT_EQ(data, wanted) << "seed " << seed << " root " << r;
  }
}

TEST(GivenGroup, CarriesWhatItIsGiven) {
  for (int ranks = 1; ranks <= 6; ++ranks) {
    OnThreads(ranks, [](ThreadGroup& end) {
      GivenGroup group(end.Given());
      for (uint64_t seed = 1; seed <= 20; ++seed) Exchange(seed, group);
    });
  }
}

TEST(GivenGroup, OneRankAloneNeedsNoFunctions) {
  GivenGroup group;
  EXPECT_TRUE(group.first());
  Exchange(1, group);
}

TEST(GivenGroup, AFunctionThatFailsIsUnavailableWithItsCode) {
  OnThreads(2, [](ThreadGroup& end) {
    end.fail_after = 0;
    GivenGroup group(end.Given());
    const auto all = group.AllGatherBytes({});
    EXPECT_EQ(all.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(std::string(all.status().message()).find("returned 7"), std::string::npos);
  });
}

}  // namespace
}  // namespace muster::rank
