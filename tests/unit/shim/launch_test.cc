// What the coordinator writes into an order about the whole gang is what the shim reads out of it.
#include "worker/launch/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "coordinator/core/gang_order.h"

namespace muster::worker::launch {
namespace {

using coordinator::core::Attempt;
using coordinator::core::GangOrderOf;
using coordinator::core::Job;
using ::testing::HasSubstr;

void Add(google::protobuf::RepeatedPtrField<v1::NodeShare>& shares, const std::string& node,
         uint32_t ranks) {
  const uint32_t first =
      shares.empty() ? 0 : shares.rbegin()->first_rank() + shares.rbegin()->ranks();
  v1::NodeShare* share = shares.Add();
  share->set_node(node);
  share->set_first_rank(first);
  share->set_ranks(ranks);
}

v1::ShimOrder OrderFor(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares, int index) {
  Job job;
  job.spec.set_name("gpt");
  Attempt attempt;
  attempt.Place(shares);
  v1::ShimOrder order;
  order.set_node(shares[index].node());
  order.mutable_start()->set_gang(GangOrderOf(job, attempt));
  order.mutable_start()->set_world_size(static_cast<uint32_t>(attempt.ranks.size()));
  order.mutable_start()->set_node_index(static_cast<uint32_t>(index));
  *order.mutable_start()->mutable_share() = shares[index];
  return order;
}

TEST(Launch, ReadsWhatTheCoordinatorWroteProperty) {
  const std::string names[] = {"n8",   "n9", "n10",      "n010",    "n011",
                               "head", "",   "gpu-0099", "gpu-0100"};
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    google::protobuf::RepeatedPtrField<v1::NodeShare> shares;
    std::set<std::string> used;
    for (uint64_t n = 1 + random() % 12; n > 0; --n) {
      const std::string name = random() % 2 == 0 ? names[random() % std::size(names)]
                                                 : "r" + std::to_string(random() % 12);
      if (used.insert(name).second) Add(shares, name, static_cast<uint32_t>(1 + random() % 2));
    }
    const int index = static_cast<int>(random() % static_cast<uint64_t>(shares.size()));
    const absl::StatusOr<Launch> launch = OpenOrder(OrderFor(shares, index));
    ASSERT_TRUE(launch.ok()) << "seed " << seed << ": " << launch.status();
    ASSERT_EQ(launch->nodes.size(), static_cast<size_t>(shares.size())) << "seed " << seed;
    for (int i = 0; i < shares.size(); ++i) {
      const LaunchNode& node = launch->nodes[static_cast<size_t>(i)];
      ASSERT_EQ(node.name, shares[i].node()) << "seed " << seed;
      ASSERT_EQ(node.first_rank, shares[i].first_rank()) << "seed " << seed;
      for (uint32_t r = 0; r < node.ranks; ++r) {
        ASSERT_EQ(launch->NodeOf(node.first_rank + r), static_cast<uint32_t>(i)) << "seed " << seed;
      }
    }
    EXPECT_EQ(launch->gang.spec().name(), "gpt");
  }
}

TEST(Launch, AnOrderDoesNotGrowWithTheCluster) {
  google::protobuf::RepeatedPtrField<v1::NodeShare> shares;
  for (int n = 1; n <= 1875; ++n) Add(shares, "n" + std::to_string(n), 8);
  EXPECT_LT(OrderFor(shares, 1874).start().ByteSizeLong(), 200u);
  shares.Clear();
  // The worst names: none follows from the one before it.
  for (int n = 1875; n >= 1; --n) Add(shares, "n" + std::to_string(n), 8);
  EXPECT_LT(OrderFor(shares, 0).start().ByteSizeLong(), 25'000u);
}

TEST(Launch, RefusesWhatDoesNotAgree) {
  google::protobuf::RepeatedPtrField<v1::NodeShare> shares;
  Add(shares, "n1", 2);
  Add(shares, "n2", 2);
  v1::ShimOrder order = OrderFor(shares, 1);
  order.set_node("n3");
  EXPECT_THAT(OpenOrder(order).status().message(), HasSubstr("no rank of the attempt is on"));
  order = OrderFor(shares, 1);
  order.mutable_start()->set_node_index(0);
  EXPECT_THAT(OpenOrder(order).status().message(), HasSubstr("do not agree"));
  order = OrderFor(shares, 1);
  order.mutable_start()->set_gang("\xff\xff");
  EXPECT_THAT(OpenOrder(order).status().message(), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace muster::worker::launch
