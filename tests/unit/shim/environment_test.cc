#include "worker/launch/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/launch/interface.h"

namespace muster::worker::launch {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::StartsWith;

// Two nodes of two ranks each, an MPI program on data 2 x tensor 2.
Launch Order(const std::string& root_address, const std::string& host_address,
             v1::Collective collective = v1::COLLECTIVE_MPI) {
  v1::ShimOrder order;
  order.set_node("n2");
  order.set_host_address(host_address);
  v1::StartRanks& start = *order.mutable_start();
  start.set_job_id(7);
  start.set_job_uid("gpt-7-abc123");
  start.set_attempt(3);
  start.set_world_size(4);
  start.set_nodes(2);
  start.set_node_index(1);
  start.set_root_address(root_address);
  start.mutable_share()->set_node("n2");
  start.mutable_share()->set_first_rank(2);
  start.mutable_share()->set_ranks(2);
  for (uint32_t slot : {4u, 5u, 6u, 7u}) start.mutable_share()->add_slots(slot);
  v1::GangOrder gang;
  gang.mutable_spec()->mutable_program()->set_collective(collective);
  for (const char* axis : {"data", "tensor"}) {
    gang.mutable_spec()->add_mesh()->set_name(axis);
    gang.mutable_spec()->mutable_mesh(gang.spec().mesh_size() - 1)->set_size(2);
  }
  v1::NodeRun& run = *gang.add_nodes();
  run.set_name("n1");
  run.set_nodes(2);
  run.set_ranks(2);
  start.set_gang(gang.SerializeAsString());
  absl::StatusOr<Launch> launch = OpenOrder(std::move(order));
  EXPECT_TRUE(launch.ok()) << launch.status();
  return *std::move(launch);
}

LocalFacts Cores(uint32_t cores) {
  return {"/s/7.3", "0123abcd", "/s/7.3/tmp", "/dev/shm/m", cores, ""};
}

TEST(RankVariables, TellWhereTheJobsCheckpointsAreIfItHasAny) {
  Launch launch = Order("127.0.0.1:1", "");
  LocalFacts facts = Cores(64);
  facts.job_file = "/s/7.3/job.json";
  facts.resume_file = "/s/7.3/resume.json";
  for (const std::string& line : RankVariables(launch, 3, facts)) {
    EXPECT_THAT(line, Not(StartsWith("MUSTER_CHECKPOINTS")));
    EXPECT_THAT(line, Not(StartsWith("MUSTER_JOB_FILE")));
  }
  launch.gang.mutable_spec()->mutable_checkpoint()->set_path("/ck");
  const Environment env = RankVariables(launch, 3, facts);
  for (const char* line : {"MUSTER_CHECKPOINTS=/ck/gpt-7-abc123", "MUSTER_JOB_FILE=/s/7.3/job.json",
                           "MUSTER_RESUME_FILE=/s/7.3/resume.json"}) {
    EXPECT_THAT(env, Contains(line));
  }
}

TEST(RankVariables, EveryFamilyTellsTheSamePlace) {
  const Environment env = RankVariables(Order("127.0.0.1:1", ""), 3, Cores(64));
  for (const char* line :
       {"MUSTER_RANK=3", "MUSTER_WORLD_SIZE=4", "MUSTER_LOCAL_RANK=1", "MUSTER_NODE=n2",
        "MUSTER_NODE_RANK=1", "MUSTER_SLOTS=6,7", "SLURM_NODELIST=n[1-2]",
        "SLURM_TASKS_PER_NODE=2(x2)", "MUSTER_MESH=data=2,tensor=2", "MUSTER_ATTEMPT=3", "RANK=3",
        "WORLD_SIZE=4", "LOCAL_RANK=1", "OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4",
        "SLURM_PROCID=3", "SLURM_NTASKS=4"}) {
    EXPECT_THAT(env, Contains(line));
  }
}

TEST(RankVariables, AJobOfAnArrayIsToldWhichOneItIs) {
  Launch launch = Order("127.0.0.1:1", "");
  EXPECT_THAT(RankVariables(launch, 2, Cores(64)), Not(Contains(StartsWith("MUSTER_ARRAY"))));
  launch.gang.set_array_id(5);
  launch.gang.set_array_index(0);
  launch.gang.mutable_spec()->mutable_schedule()->mutable_array()->set_count(3);
  const Environment env = RankVariables(launch, 2, Cores(64));
  for (const char* line : {"MUSTER_ARRAY_ID=5", "MUSTER_ARRAY_INDEX=0", "MUSTER_ARRAY_COUNT=3",
                           "SLURM_ARRAY_JOB_ID=5", "SLURM_ARRAY_TASK_ID=0"}) {
    EXPECT_THAT(env, Contains(line));
  }
}

TEST(RankVariables, WithoutThisSwitchOpenMpiMakesEveryRankAWorldOfItsOwn) {
  EXPECT_THAT(RankVariables(Order("127.0.0.1:1", ""), 2, Cores(64)), Contains("JSM_JSRUN_PORT=1"));
  EXPECT_THAT(RankVariables(Order("127.0.0.1:1", "", v1::COLLECTIVE_UNSPECIFIED), 2, Cores(64)),
              Not(Contains("JSM_JSRUN_PORT=1")));
}

TEST(RankVariables, WaitingRanksYieldWhenTheMachineIsFull) {
  const std::string yield = "OMPI_MCA_mpi_yield_when_idle=1";
  struct Row {
    const char* name;
    Launch launch;
    uint32_t cores;
    bool yields;
  };
  const Row rows[] = {
      {"loopback nodes share one machine: four ranks on two cores", Order("127.0.0.1:1", ""), 2,
       true},
      {"two hosts, two ranks each on 64 cores", Order("10.0.0.1:1", "10.0.0.2"), 64, false},
      {"two hosts, ranks fill the cores", Order("10.0.0.1:1", "10.0.0.2"), 2, true},
  };
  for (const Row& row : rows) {
    const Environment env = RankVariables(row.launch, 3, Cores(row.cores));
    EXPECT_EQ(std::count(env.begin(), env.end(), yield), row.yields ? 1 : 0) << row.name;
  }
}

TEST(RankVariables, TcpUsesTheAddressTheWorkerIsKnownBy) {
  LocalFacts facts = Cores(8);
  facts.interface = "eth1";
  EXPECT_THAT(RankVariables(Order("10.0.0.1:1", "10.0.0.2"), 2, facts),
              Contains("OMPI_MCA_btl_tcp_if_include=eth1"));
  EXPECT_THAT(RankVariables(Order("127.0.0.1:1", ""), 2, Cores(8)),
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
