#include "worker/launch/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/launch/interface.h"

namespace muster::worker::launch {
namespace {

using ::testing::Contains;
using ::testing::Not;

// Two nodes of two ranks each, an MPI program on data 2 x tensor 2.
v1::ShimOrder Order(const std::string& n1_address, const std::string& n2_address,
                    const std::string& host_address) {
  v1::ShimOrder order;
  order.set_node("n2");
  order.set_host_address(host_address);
  v1::StartRanks& start = *order.mutable_start();
  start.set_job_id(7);
  start.set_job_uid("gpt-7-abc123");
  start.set_attempt(3);
  start.mutable_spec()->mutable_program()->set_collective(v1::COLLECTIVE_MPI);
  for (const char* axis : {"data", "tensor"}) {
    start.mutable_spec()->add_mesh()->set_name(axis);
    start.mutable_spec()->mutable_mesh(start.spec().mesh_size() - 1)->set_size(2);
  }
  for (uint32_t rank = 0; rank < 4; ++rank) {
    v1::RankPlacement& placement = *start.add_ranks();
    placement.set_rank(rank);
    placement.set_node(rank < 2 ? "n1" : "n2");
    placement.set_local_rank(rank % 2);
    placement.add_slots(rank % 2);
  }
  for (const auto& [name, address] : {std::pair("n1", n1_address), std::pair("n2", n2_address)}) {
    v1::AttemptNode& node = *start.add_nodes();
    node.set_node(name);
    node.set_peer_address(address);
  }
  return order;
}

LocalFacts Cores(uint32_t cores) {
  return {"/s/7.3", "0123abcd", "/s/7.3/tmp", "/dev/shm/m", cores, ""};
}

TEST(RankVariables, EveryFamilyTellsTheSamePlace) {
  const Environment env = RankVariables(Order("127.0.0.1:1", "127.0.0.1:2", ""), 3, Cores(64));
  for (const char* line :
       {"MUSTER_RANK=3", "MUSTER_WORLD_SIZE=4", "MUSTER_LOCAL_RANK=1", "MUSTER_NODE=n2",
        "MUSTER_NODE_RANK=1", "MUSTER_MESH=data=2,tensor=2", "MUSTER_ATTEMPT=3", "RANK=3",
        "WORLD_SIZE=4", "LOCAL_RANK=1", "OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4",
        "SLURM_PROCID=3", "SLURM_NTASKS=4"}) {
    EXPECT_THAT(env, Contains(line));
  }
}

TEST(RankVariables, WithoutThisSwitchOpenMpiMakesEveryRankAWorldOfItsOwn) {
  v1::ShimOrder order = Order("127.0.0.1:1", "127.0.0.1:2", "");
  EXPECT_THAT(RankVariables(order, 0, Cores(64)), Contains("JSM_JSRUN_PORT=1"));
  order.mutable_start()->mutable_spec()->mutable_program()->clear_collective();
  EXPECT_THAT(RankVariables(order, 0, Cores(64)), Not(Contains("JSM_JSRUN_PORT=1")));
}

TEST(RankVariables, WaitingRanksYieldWhenTheMachineIsFull) {
  const std::string yield = "OMPI_MCA_mpi_yield_when_idle=1";
  struct Row {
    const char* name;
    v1::ShimOrder order;
    uint32_t cores;
    bool yields;
  };
  const Row rows[] = {
      {"loopback nodes share one machine: four ranks on two cores",
       Order("127.0.0.1:1", "127.0.0.1:2", ""), 2, true},
      {"two hosts, two ranks each on 64 cores", Order("10.0.0.1:1", "10.0.0.2:2", "10.0.0.2"), 64,
       false},
      {"two hosts, ranks fill the cores", Order("10.0.0.1:1", "10.0.0.2:2", "10.0.0.2"), 2, true},
  };
  for (const Row& row : rows) {
    const Environment env = RankVariables(row.order, 3, Cores(row.cores));
    EXPECT_EQ(std::count(env.begin(), env.end(), yield), row.yields ? 1 : 0) << row.name;
  }
}

TEST(RankVariables, TcpUsesTheAddressTheWorkerIsKnownBy) {
  LocalFacts facts = Cores(8);
  facts.interface = "eth1";
  EXPECT_THAT(RankVariables(Order("10.0.0.1:1", "10.0.0.2:2", "10.0.0.2"), 2, facts),
              Contains("OMPI_MCA_btl_tcp_if_include=eth1"));
  EXPECT_THAT(RankVariables(Order("127.0.0.1:1", "127.0.0.1:2", ""), 2, Cores(8)),
              Contains("OMPI_MCA_btl_tcp_if_include=lo"));
}

TEST(InterfaceOf, FindsTheLoopbackAndNothingForAForeignAddress) {
  EXPECT_EQ(InterfaceOf("127.0.0.1"), "lo");
  EXPECT_EQ(InterfaceOf("192.0.2.77"), "");
  EXPECT_EQ(InterfaceOf("a-host-name"), "");
}

TEST(Inherited, PassesOnNoSecrets) {
  const Environment env = Inherited({"AWS_SECRET_ACCESS_KEY=x", "HOME=/h", "PATH=/bin"});
  EXPECT_THAT(env, Contains("PATH=/bin"));
  EXPECT_THAT(env, Not(Contains("AWS_SECRET_ACCESS_KEY=x")));
}

}  // namespace
}  // namespace muster::worker::launch
