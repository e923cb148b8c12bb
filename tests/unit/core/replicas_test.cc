// Which node keeps whose copies, and where a rank's slots are looked for.
#include "coordinator/core/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/core/cluster.h"
#include "tests/unit/core/valid_job.h"

namespace muster::coordinator::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<ReplicaPlace> Places(const std::vector<std::string>& racks, uint32_t ranks = 1) {
  std::vector<ReplicaPlace> places;
  for (const std::string& rack : racks) {
    places.push_back({static_cast<uint32_t>(places.size()) * ranks, ranks, {}});
    places.back().location.set_rack(rack);
  }
  return places;
}

TEST(ReplicaShift, OneNodeHasNoPartner) {
  EXPECT_EQ(ReplicaShift(Places({}), 1), 0u);
  EXPECT_EQ(ReplicaShift(Places({"r1"}), 1), 0u);
  EXPECT_EQ(ReplicaShift(Places({"r1", "r1"}), 1), 1u) << "another node at least";
}

TEST(ReplicaShift, PartnersAreInAnotherRack) {
  EXPECT_EQ(ReplicaShift(Places({"r1", "r1", "r2", "r2"}), 1), 2u);
  EXPECT_EQ(ReplicaShift(Places({"r1", "r2", "r1", "r2"}), 1), 1u);
  EXPECT_EQ(ReplicaShift(Places({"r1", "r1", "r2", "r2", "r3", "r3"}), 1), 3u);
}

TEST(ReplicaShift, ATensorGroupIsWorseThanARack) {
  // Two nodes hold a tensor group of 4; only its halves are in different racks.
  EXPECT_EQ(ReplicaShift(Places({"r1", "r2", "r1", "r2"}, 2), 4), 2u);
  EXPECT_EQ(ReplicaShift(Places({"r1", "r2", "r1", "r2"}, 2), 2), 1u);
}

TEST(ReplicaShift, AlwaysAnotherNodeAndAsFarApartAsRacksAllow) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const size_t racks = 1 + random() % 6;
    const size_t each = 1 + random() % 40;
    std::vector<std::string> names;
    for (size_t i = 0; i < racks * each; ++i) names.push_back("r" + std::to_string(i / each));
    const std::vector<ReplicaPlace> places = Places(names);
    const uint32_t shift = ReplicaShift(places, 1);
    if (names.size() < 2) {
      EXPECT_EQ(shift, 0u);
      continue;
    }
    ASSERT_GT(shift, 0u) << "seed " << seed;
    ASSERT_LT(shift, names.size()) << "seed " << seed;
    size_t same = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == names[(i + shift) % names.size()]) ++same;
    }
    if (racks > 1) {
      EXPECT_EQ(same, 0u) << "seed " << seed << ", shift " << shift;
    }
  }
}

// Attempts of a job: nodes with their ranks.
struct Run {
  std::vector<std::pair<std::string, uint32_t>> nodes;
  uint32_t shift = 0;
};

Job JobOf(const std::vector<Run>& runs) {
  Job job;
  for (const Run& run : runs) {
    Attempt& attempt = job.attempts.emplace_back();
    attempt.facts.set_number(job.attempts.size());
    attempt.facts.set_replica_shift(run.shift);
    uint32_t first = 0;
    for (const auto& [node, ranks] : run.nodes) {
      v1::NodeShare* share = attempt.facts.add_shares();
      share->set_node(node);
      share->set_first_rank(first);
      share->set_ranks(ranks);
      first += ranks;
    }
  }
  return job;
}

std::vector<std::string> Holders(const Job& job, size_t index) {
  const v1::Attempt& now = job.attempts.back().facts;
  std::vector<std::string> text;
  for (const SlotHolder& one :
       SlotHoldersOf(job, now.number(), now.shares(static_cast<int>(index)))) {
    text.push_back(one.node.value() + ":" + std::to_string(one.first_rank) + "-" +
                   std::to_string(one.first_rank + one.ranks - 1));
  }
  return text;
}

TEST(SlotHolders, TheNodeBeforeAndItsPartner) {
  const Job job =
      JobOf({{{{"n1", 2}, {"n2", 2}, {"n3", 2}}, 1}, {{{"n4", 2}, {"n2", 2}, {"n3", 2}}, 1}});
  EXPECT_THAT(Holders(job, 0), ElementsAre("n1:0-1", "n2:0-1"));
  EXPECT_THAT(Holders(job, 1), ElementsAre("n2:2-3", "n3:2-3"));
  EXPECT_THAT(Holders(job, 2), ElementsAre("n3:4-5", "n1:4-5"));
}

TEST(SlotHolders, RanksThatWereSpreadOtherwise) {
  const Job job = JobOf({{{{"n1", 3}, {"n2", 1}}, 1}, {{{"n3", 2}, {"n4", 2}}, 1}});
  EXPECT_THAT(Holders(job, 0), ElementsAre("n1:0-1", "n2:0-1"));
  EXPECT_THAT(Holders(job, 1), ElementsAre("n1:2-2", "n2:2-2", "n2:3-3", "n1:3-3"));
}

TEST(SlotHolders, NewestAttemptFirstEachNodeOnceAndNoOlderThanTheFloor) {
  Job job = JobOf(
      {{{{"n1", 2}, {"n2", 2}}, 1}, {{{"n1", 2}, {"n3", 2}}, 1}, {{{"n4", 2}, {"n3", 2}}, 1}});
  EXPECT_THAT(Holders(job, 0), ElementsAre("n1:0-1", "n3:0-1", "n2:0-1"));
  job.slots_since = 2;
  EXPECT_THAT(Holders(job, 0), ElementsAre("n1:0-1", "n3:0-1"));
  job.slots_since = 3;  // the job stepped back: nobody's memory counts
  EXPECT_THAT(Holders(job, 0), IsEmpty());
}

TEST(ReplicaShift, IsThatOfAnAttemptUnlessItsJobWantsNoCopies) {
  struct Case {
    const char* name;
    std::optional<uint32_t> replicas;
    uint32_t shift;
  };
  for (const Case& test :
       {Case{"not said", std::nullopt, 1}, Case{"one", 1, 1}, Case{"none", 0, 0}}) {
    Cluster cluster{Options()};
    const absl::Time now = absl::FromUnixSeconds(1000);
    cluster.Step(Start{"c0ffee42"}, now);
    for (const char* name : {"n1", "n2"}) {
      WorkerConnected input{SessionId(static_cast<uint64_t>(name[1])), {}};
      input.hello.set_node(name);
      input.hello.set_slots(1);
      input.hello.set_peer_address(std::string(name) + ":9");
      cluster.Step(input, now);
    }
    SubmitJob submit;
    *submit.request.mutable_spec() = ValidJob("gpt", 2, 100);
    v1::CheckpointSpec* checkpoint = submit.request.mutable_spec()->mutable_checkpoint();
    checkpoint->clear_ram_replicas();
    if (test.replicas.has_value()) checkpoint->set_ram_replicas(*test.replicas);
    const Outcome outcome = cluster.Step(submit, now);
    size_t told = 0;
    for (const auto& command : outcome.commands) {
      const auto* send = std::get_if<SendToWorker>(&command);
      if (send == nullptr || !send->message.has_start()) continue;
      ++told;
      EXPECT_EQ(send->message.start().replica_address().empty(), test.shift == 0) << test.name;
    }
    EXPECT_EQ(told, 2u) << test.name;
    v1::GetJobRequest request;
    request.set_job_id(1);
    const v1::Job job = cluster.GetJob(request)->job();
    ASSERT_EQ(job.attempts_size(), 1) << test.name;
    EXPECT_EQ(job.attempts(0).replica_shift(), test.shift) << test.name;
  }
}

TEST(SlotHolders, AnotherWorldSizeHasOtherSlots) {
  const Job job = JobOf({{{{"n1", 4}}, 0}, {{{"n1", 2}}, 0}});
  EXPECT_THAT(Holders(job, 0), IsEmpty());
}

}  // namespace
}  // namespace muster::coordinator::core
