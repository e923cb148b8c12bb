#include "worker/launch/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "common/check.h"
#include "common/hostlist.h"

namespace muster::worker::launch {
namespace {

constexpr const char* kInheritedNames[] = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD"};
constexpr const char* kInheritedPrefixes[] = {
    "LC_",           "OMP_",         "MKL_",         "OPENBLAS_",   "DNNL_",  "ONEDNN_",
    "CUDA_",         "NVIDIA_",      "NCCL_",        "UCX_",        "PYTHON", "ASAN_OPTIONS",
    "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "MUSTER_TEST_"};

// Below the ephemeral ports, and another one for each attempt, so that a lingering socket of the
// last attempt does not stand in the way.
constexpr uint32_t kMasterPortFirst = 20000;
constexpr uint32_t kMasterPorts = 12000;

std::string HostOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? address : address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

bool IsLoopback(const std::string& host) {
  return host.empty() || host.starts_with("127.") || host == "::1" || host == "localhost";
}

// Where a rank stands among its peers.
struct Standing {
  uint32_t world_size = 0, local_rank = 0, local_size = 0, node_rank = 0, nodes = 0;
  std::vector<uint32_t> ranks_per_node;
  std::vector<std::string> node_names;
  std::string slots;
};

Standing StandingOf(const Launch& launch, uint32_t rank) {
  const v1::NodeShare& share = launch.order.start().share();
  CHECK(rank >= share.first_rank() && rank < share.first_rank() + share.ranks(),
        "rank {} is not on this node", rank);
  Standing standing;
  standing.world_size = launch.world_size;
  standing.nodes = static_cast<uint32_t>(launch.nodes.size());
  for (const LaunchNode& node : launch.nodes) {
    standing.node_names.push_back(node.name);
    standing.ranks_per_node.push_back(node.ranks);
  }
  standing.node_rank = launch.order.start().node_index();
  standing.local_size = share.ranks();
  standing.local_rank = rank - share.first_rank();
  const int per_rank = share.slots_size() / static_cast<int>(share.ranks());
  for (int i = 0; i < per_rank; ++i) {
    standing.slots +=
        fmt::format("{}{}", i == 0 ? "" : ",",
                    share.slots(static_cast<int>(standing.local_rank) * per_rank + i));
  }
  return standing;
}

class Variables {
 public:
  template <typename Value>
  void Set(const std::string& name, const Value& value) {
    lines_.push_back(fmt::format("{}={}", name, value));
  }
  Environment Take() { return std::move(lines_); }

 private:
  Environment lines_;
};

void SetOurs(const Launch& launch, uint32_t rank, const Standing& standing, const LocalFacts& facts,
             Variables* out) {
  const v1::StartRanks& start = launch.order.start();
  std::string mesh;
  for (const v1::Axis& axis : launch.gang.spec().mesh()) {
    mesh += fmt::format("{}{}={}", mesh.empty() ? "" : ",", axis.name(), axis.size());
  }
  out->Set("MUSTER_RANK", rank);
  out->Set("MUSTER_WORLD_SIZE", standing.world_size);
  out->Set("MUSTER_LOCAL_RANK", standing.local_rank);
  out->Set("MUSTER_LOCAL_WORLD_SIZE", standing.local_size);
  out->Set("MUSTER_NODE_RANK", standing.node_rank);
  out->Set("MUSTER_NODE", launch.order.node());
  out->Set("MUSTER_JOB_ID", start.job_id());
  out->Set("MUSTER_JOB_UID", start.job_uid());
  out->Set("MUSTER_ATTEMPT", start.attempt());
  out->Set("MUSTER_MESH", mesh);
  out->Set("MUSTER_SLOTS", standing.slots);
  out->Set("MUSTER_SCOPE", facts.scope);
  out->Set("TMPDIR", facts.temp_folder);
  if (const std::string& root = launch.gang.spec().checkpoint().path(); !root.empty()) {
    out->Set("MUSTER_CHECKPOINTS", root + "/" + start.job_uid());
    out->Set("MUSTER_JOB_FILE", facts.job_file);
    out->Set("MUSTER_RESUME_FILE", facts.resume_file);
  }
  if (const v1::ShimOrder& order = launch.order; !order.vault_folder().empty()) {
    out->Set("MUSTER_VAULT", order.vault_folder());
    out->Set("MUSTER_VAULT_BYTES", order.vault_rank_bytes());
    out->Set("MUSTER_VAULT_SINCE", launch.gang.slots_since());
    out->Set("MUSTER_VAULT_DRAINS", order.vault_drains() ? 1 : 0);
    out->Set("MUSTER_VAULT_REPLICATED", order.vault_replicates() ? 1 : 0);
  }
  if (launch.gang.array_id() == 0) return;
  out->Set("MUSTER_ARRAY_ID", launch.gang.array_id());
  out->Set("MUSTER_ARRAY_INDEX", launch.gang.array_index());
  out->Set("MUSTER_ARRAY_COUNT", launch.gang.spec().schedule().array().count());
}

void SetTorchrun(const Launch& launch, uint32_t rank, const Standing& standing, Variables* out) {
  const v1::StartRanks& start = launch.order.start();
  std::string master = HostOf(start.root_address());
  if (master.empty() || standing.nodes == 1) master = "127.0.0.1";
  const uint64_t turn = start.job_id() * 131 + start.attempt();
  out->Set("RANK", rank);
  out->Set("WORLD_SIZE", standing.world_size);
  out->Set("LOCAL_RANK", standing.local_rank);
  out->Set("LOCAL_WORLD_SIZE", standing.local_size);
  out->Set("GROUP_RANK", standing.node_rank);
  out->Set("MASTER_ADDR", master);
  out->Set("MASTER_PORT", kMasterPortFirst + turn % kMasterPorts);
}

void SetOpenMpi(const Launch& launch, uint32_t rank, const Standing& standing,
                const LocalFacts& facts, Variables* out) {
  out->Set("OMPI_COMM_WORLD_RANK", rank);
  out->Set("OMPI_COMM_WORLD_SIZE", standing.world_size);
  out->Set("OMPI_COMM_WORLD_LOCAL_RANK", standing.local_rank);
  out->Set("OMPI_COMM_WORLD_LOCAL_SIZE", standing.local_size);
  out->Set("OMPI_COMM_WORLD_NODE_RANK", standing.local_rank);
  out->Set("OMPI_UNIVERSE_SIZE", standing.world_size);
  if (!NeedsMpi(launch.gang.spec())) return;

  // Without it Open MPI takes every rank for a world of its own.
  out->Set("JSM_JSRUN_PORT", 1);
  out->Set("PMIX_MCA_gds", "hash");
  out->Set("OMPI_MCA_pml", "ob1");
  out->Set("OMPI_MCA_btl", "self,vader,tcp");
  out->Set("OMPI_MCA_btl_vader_backing_directory", facts.memory_folder);
  out->Set("OMPI_MCA_orte_tmpdir_base", facts.temp_folder);
  // Whoever reaches a root on the loopback is on its machine.
  const bool loopback = IsLoopback(launch.order.host_address()) &&
                        IsLoopback(HostOf(launch.order.start().root_address()));
  if (loopback) {
    out->Set("OMPI_MCA_btl_tcp_if_include", "lo");
  } else if (!facts.interface.empty()) {
    // By name: Open MPI 4.1.4 takes every interface, the loopback first, for a match of ADDRESS/32.
    out->Set("OMPI_MCA_btl_tcp_if_include", facts.interface);
  }
  // A rank that waits spins. Where ranks fill the cores it must let the others (and this node's
  // daemons) run; several nodes on the loopback share one machine.
  const uint32_t ranks_here = loopback ? standing.world_size : standing.local_size;
  if (ranks_here >= facts.cores) out->Set("OMPI_MCA_mpi_yield_when_idle", 1);
}

void SetSlurm(const Launch& launch, uint32_t rank, const Standing& standing, Variables* out) {
  const v1::StartRanks& start = launch.order.start();
  const std::string nodes = FormatHostlist(standing.node_names);
  std::string tasks_per_node;
  for (size_t node = 0; node < standing.ranks_per_node.size();) {
    size_t end = node;
    while (end < standing.ranks_per_node.size() &&
           standing.ranks_per_node[end] == standing.ranks_per_node[node]) {
      ++end;
    }
    tasks_per_node +=
        fmt::format("{}{}", tasks_per_node.empty() ? "" : ",", standing.ranks_per_node[node]);
    if (end - node > 1) tasks_per_node += fmt::format("(x{})", end - node);
    node = end;
  }
  out->Set("SLURM_JOB_ID", start.job_id());
  out->Set("SLURM_JOBID", start.job_id());
  out->Set("SLURM_JOB_NAME", launch.gang.spec().name());
  out->Set("SLURM_RESTART_COUNT", start.attempt() > 0 ? start.attempt() - 1 : 0);
  if (launch.gang.array_id() != 0) {
    out->Set("SLURM_ARRAY_JOB_ID", launch.gang.array_id());
    out->Set("SLURM_ARRAY_TASK_ID", launch.gang.array_index());
    out->Set("SLURM_ARRAY_TASK_COUNT", launch.gang.spec().schedule().array().count());
  }
  out->Set("SLURM_PROCID", rank);
  out->Set("SLURM_LOCALID", standing.local_rank);
  out->Set("SLURM_NODEID", standing.node_rank);
  out->Set("SLURM_NTASKS", standing.world_size);
  out->Set("SLURM_NPROCS", standing.world_size);
  out->Set("SLURM_NNODES", standing.nodes);
  out->Set("SLURM_JOB_NUM_NODES", standing.nodes);
  out->Set("SLURM_JOB_NODELIST", nodes);
  out->Set("SLURM_STEP_NODELIST", nodes);
  out->Set("SLURM_NODELIST", nodes);
  out->Set("SLURM_TASKS_PER_NODE", tasks_per_node);
  out->Set("SLURMD_NODENAME", launch.order.node());
}

std::string NameOf(const std::string& line) { return line.substr(0, line.find('=')); }

}  // namespace

Environment Inherited(const Environment& own) {
  Environment kept;
  for (const std::string& line : own) {
    const std::string name = NameOf(line);
    bool keep = std::find(std::begin(kInheritedNames), std::end(kInheritedNames), name) !=
                std::end(kInheritedNames);
    for (const char* prefix : kInheritedPrefixes) keep = keep || name.starts_with(prefix);
    if (keep) kept.push_back(line);
  }
  return Merge({kept});
}

Environment RankVariables(const Launch& launch, uint32_t rank, const LocalFacts& facts) {
  const Standing standing = StandingOf(launch, rank);
  Variables out;
  SetOurs(launch, rank, standing, facts, &out);
  SetTorchrun(launch, rank, standing, &out);
  SetOpenMpi(launch, rank, standing, facts, &out);
  SetSlurm(launch, rank, standing, &out);
  const v1::JobSpec& spec = launch.gang.spec();
  const uint32_t threads = spec.train().threads_per_rank() > 0 ? spec.train().threads_per_rank()
                                                               : spec.resources().slots_per_rank();
  out.Set("OMP_NUM_THREADS", std::max(1u, threads));
  Environment own;
  for (const v1::EnvVar& variable : spec.program().env()) {
    own.push_back(variable.name() + "=" + variable.value());
  }
  return Merge({out.Take(), own});
}

Environment Merge(const std::vector<Environment>& environments) {
  std::map<std::string, std::string> by_name;
  for (const Environment& environment : environments) {
    for (const std::string& line : environment) by_name[NameOf(line)] = line;
  }
  Environment merged;
  for (const auto& [name, line] : by_name) merged.push_back(line);
  return merged;
}

bool NeedsMpi(const v1::JobSpec& spec) {
  if (spec.has_program()) return spec.program().collective() == v1::COLLECTIVE_MPI;
  return true;  // the native trainer's only collective between processes
}

}  // namespace muster::worker::launch
