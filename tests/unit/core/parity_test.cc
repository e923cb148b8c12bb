// Which nodes share parity, and what a node is told of it.
#include "coordinator/core/parity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/core/cluster.h"
#include "tests/unit/core/valid_job.h"

namespace muster::coordinator::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(ParityGroups, AreRunsOfStrides) {
  using Groups = std::vector<std::vector<size_t>>;
  EXPECT_EQ(ParityGroups(6, 3, 2), (Groups{{0, 2, 4}, {1, 3, 5}}));
  EXPECT_EQ(ParityGroups(6, 3, 1), (Groups{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(ParityGroups(7, 3, 1), (Groups{{0, 1, 2}, {3, 4, 5, 6}})) << "what is left over";
  EXPECT_EQ(ParityGroups(2, 3, 1), (Groups{{0, 1}})) << "a mirror";
  EXPECT_THAT(ParityGroups(1, 3, 1), IsEmpty());
  EXPECT_THAT(ParityGroups(0, 3, 1), IsEmpty());
  EXPECT_THAT(ParityGroups(6, 0, 0), IsEmpty()) << "an attempt without parity";
  EXPECT_THAT(ParityGroupOf(6, 3, 2, 3), ElementsAre(1, 3, 5));
}

TEST(ParityGroups, HaveEachShareOnceAndNeverTooFewOrTooMany) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    const size_t shares = 2 + random() % 300;
    const auto group = static_cast<uint32_t>(2 + random() % 16);
    const auto stride = static_cast<uint32_t>(1 + random() % shares);
    std::set<size_t> seen;
    for (const std::vector<size_t>& members : ParityGroups(shares, group, stride)) {
      ASSERT_GE(members.size(), std::min<size_t>(group, shares)) << "seed " << seed;
      ASSERT_LE(members.size(), 2 * group - 1) << "seed " << seed;
      for (const size_t member : members) {
        ASSERT_LT(member, shares) << "seed " << seed;
        ASSERT_TRUE(seen.insert(member).second) << "seed " << seed;
      }
    }
    ASSERT_EQ(seen.size(), shares) << "seed " << seed;
  }
}

size_t SameRack(const std::vector<ReplicaPlace>& places, uint32_t group, uint32_t stride) {
  size_t same = 0;
  for (const auto& members : ParityGroups(places.size(), group, stride)) {
    std::set<std::string> racks;
    for (const size_t member : members) racks.insert(places[member].location.rack());
    same += members.size() - racks.size();
  }
  return same;
}

TEST(ParityStride, NoTwoMembersInOneRackWhereRacksAreAsManyAsMembers) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    std::mt19937_64 random(seed);
    const auto group = static_cast<uint32_t>(2 + random() % 6);
    const size_t racks = group + random() % 6;
    const size_t each = 1 + random() % 40;
    const bool mixed = random() % 4 == 0;  // node by node another rack
    std::vector<ReplicaPlace> places(racks * each);
    for (size_t i = 0; i < places.size(); ++i) {
      places[i] = {static_cast<uint32_t>(i), 1, {}};
      places[i].location.set_rack("r" + std::to_string(mixed ? i % racks : i / each));
    }
    const uint32_t stride = ParityStride(places, 1, group);
    EXPECT_EQ(SameRack(places, group, stride), 0u)
        << "seed " << seed << ": " << racks << " racks of " << each << ", groups of " << group
        << ", stride " << stride;
  }
}

TEST(ParityStride, ATensorGroupIsWorseThanARack) {
  // Two nodes hold a tensor group of 4; only its halves are in different racks.
  std::vector<ReplicaPlace> places(4);
  for (uint32_t i = 0; i < 4; ++i) {
    places[i] = {i * 2, 2, {}};
    places[i].location.set_rack(i % 2 == 0 ? "r1" : "r2");
  }
  const uint32_t both = ParityStride(places, 4, 2);
  EXPECT_THAT(ParityGroupOf(4, 2, both, 0), ElementsAre(0, 3)) << "apart in both";
  places.pop_back();
  places[2].location.set_rack("r1");
  places.push_back({6, 2, places[0].location});
  EXPECT_THAT(ParityGroupOf(4, 2, ParityStride(places, 4, 2), 0), testing::Not(ElementsAre(0, 1)))
      << "the other rack is in its tensor group";
}

// The orders of an attempt, by node, when these nodes are there.
struct World {
  explicit World(uint32_t parity) {
    cluster.Step(Start{"c0ffee42"}, now);
    for (const char* name : {"n1", "n2", "n3"}) {
      WorkerConnected input{SessionId(static_cast<uint64_t>(name[1])), {}};
      input.hello.set_node(name);
      input.hello.set_slots(1);
      input.hello.set_peer_address(std::string(name) + ":9");
      cluster.Step(input, now);
    }
    SubmitJob submit;
    *submit.request.mutable_spec() = ValidJob("gpt", 3, 100);
    v1::CheckpointSpec* checkpoint = submit.request.mutable_spec()->mutable_checkpoint();
    checkpoint->set_ram_replicas(0);
    checkpoint->set_ram_parity(parity);
    for (const auto& command : cluster.Step(submit, now).commands) {
      const auto* send = std::get_if<SendToWorker>(&command);
      if (send != nullptr && send->message.has_start()) starts.push_back(send->message.start());
    }
  }

  const absl::Time now = absl::FromUnixSeconds(1000);
  Cluster cluster{Options()};
  std::vector<v1::StartRanks> starts;
};

TEST(Parity, EachNodeIsToldItsGroupAndTheRecordKeepsIt) {
  World world(2);
  ASSERT_EQ(world.starts.size(), 3u);
  for (const v1::StartRanks& start : world.starts) {
    EXPECT_TRUE(start.replica_address().empty());
    EXPECT_EQ(start.parity_sources_size(), 0) << "there was no attempt before";
    std::vector<std::string> told;
    for (const v1::SlotSource& one : start.parity_group()) {
      told.push_back(one.node() + "@" + one.peer_address() + ":" +
                     std::to_string(one.first_rank()) + "+" + std::to_string(one.ranks()));
    }
    EXPECT_THAT(told, UnorderedElementsAre("n1@n1:9:0+1", "n2@n2:9:1+1", "n3@n3:9:2+1"));
  }
  v1::GetJobRequest request;
  request.set_job_id(1);
  const v1::Job job = world.cluster.GetJob(request)->job();
  EXPECT_EQ(job.attempts(0).parity_group(), 3u);
  EXPECT_GT(job.attempts(0).parity_stride(), 0u);
  EXPECT_EQ(job.attempts(0).replica_shift(), 0u);
  EXPECT_EQ(World(0).starts.front().parity_group_size(), 0);
}

Job JobOf(const std::vector<std::vector<std::string>>& attempts, uint32_t group) {
  Job job;
  for (const std::vector<std::string>& nodes : attempts) {
    Attempt& attempt = job.attempts.emplace_back();
    attempt.facts.set_number(job.attempts.size());
    attempt.facts.set_parity_group(group);
    attempt.facts.set_parity_stride(1);
    for (const std::string& node : nodes) {
      v1::NodeShare* share = attempt.facts.add_shares();
      share->set_node(node);
      share->set_first_rank(static_cast<uint32_t>(attempt.facts.shares_size() - 1) * 2);
      share->set_ranks(2);
    }
  }
  return job;
}

std::vector<std::string> Sources(const Job& job, size_t index) {
  NodeTable nodes;
  for (const char* name : {"n1", "n2", "n3", "n4", "n5", "n6"}) {
    Node& node = nodes.FindOrAdd(NodeId(name));
    node.peer_address = std::string(name) + ":9";
    if (node.name.value() != "n2") node.session = SessionId(1);
  }
  v1::StartRanks start;
  AddParity(job, job.attempts.back(), index, nodes, &start);
  std::vector<std::string> told;
  for (const v1::SlotSource& one : start.parity_sources()) {
    told.push_back(one.node() + ":" + std::to_string(one.first_rank()));
  }
  return told;
}

TEST(Parity, WhatWasLostIsComputedFromTheGroupsOfTheAttemptsBefore) {
  Job job =
      JobOf({{"n1", "n2", "n3", "n4"}, {"n1", "n5", "n3", "n4"}, {"n1", "n5", "n6", "n4"}}, 2);
  EXPECT_THAT(Sources(job, 2), ElementsAre("n3:4", "n4:6")) << "each once";
  EXPECT_THAT(Sources(job, 1), ElementsAre("n1:0", "n5:2")) << "n2 cannot be asked";
  job.slots_since = 3;
  EXPECT_THAT(Sources(job, 2), IsEmpty()) << "the job stepped back";
  EXPECT_THAT(Sources(JobOf({{"n1", "n3", "n4"}, {"n1", "n3"}}, 2), 0), IsEmpty())
      << "another world size has other slots";
}

}  // namespace
}  // namespace muster::coordinator::core
