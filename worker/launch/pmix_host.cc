#include "worker/launch/pmix_host.h"

#include <pmix.h>
// After pmix.h: it does not stand alone.
#include <pmix_server.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "common/status.h"

namespace muster::worker::launch {
namespace {

// The server module is plain functions, so what they need is one per process.
struct HostState {
  Exchange* exchange = nullptr;
  std::string name_space;
  Launch launch;
  std::mutex mutex;
  std::map<std::string, uint64_t> fences;  // by participants: how many there were
};
HostState& State() {
  static HostState* const state = new HostState;
  return *state;
}

// pmix_info_t values whose types the library wants exactly.
class Infos {
 public:
  void Text(const char* key, const std::string& value) { Load(key, value.c_str(), PMIX_STRING); }
  void U32(const char* key, uint32_t value) { Load(key, &value, PMIX_UINT32); }
  void U16(const char* key, uint16_t value) { Load(key, &value, PMIX_UINT16); }
  void Rank(const char* key, pmix_rank_t value) { Load(key, &value, PMIX_PROC_RANK); }
  void Array(const char* key, Infos&& members) {
    pmix_data_array_t array;
    array.type = PMIX_INFO;
    array.size = members.infos_.size();
    array.array = members.infos_.data();
    Load(key, &array, PMIX_DATA_ARRAY);  // copies
  }
  pmix_info_t* data() { return infos_.data(); }
  size_t size() const { return infos_.size(); }
  Infos() = default;
  Infos(Infos&&) = default;
  Infos(const Infos&) = delete;
  ~Infos() {
    for (pmix_info_t& info : infos_) PMIX_INFO_DESTRUCT(&info);
  }

 private:
  void Load(const char* key, const void* value, pmix_data_type_t type) {
    pmix_info_t info;
    PMIX_INFO_CONSTRUCT(&info);
    PMIx_Info_load(&info, key, value, type);
    infos_.push_back(info);
  }
  std::vector<pmix_info_t> infos_;
};

absl::Status PmixError(pmix_status_t status, const std::string& what) {
  return Internal("{}: {}", what, PMIx_Error_string(status));
}

pmix_status_t ClientConnected(const pmix_proc_t*, void*, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}
pmix_status_t ClientFinalized(const pmix_proc_t*, void*, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}
// The rank ends itself with its status; its death is what counts.
pmix_status_t Abort(const pmix_proc_t*, void*, int, const char[], pmix_proc_t[], size_t,
                    pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}
pmix_status_t RegisterEvents(pmix_status_t*, size_t, const pmix_info_t[], size_t, pmix_op_cbfunc_t,
                             void*) {
  return PMIX_OPERATION_SUCCEEDED;
}
pmix_status_t DeregisterEvents(pmix_status_t*, size_t, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}
pmix_status_t NotifyEvent(pmix_status_t, const pmix_proc_t*, pmix_data_range_t, pmix_info_t[],
                          size_t, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}

void FreeBlob(void* blob) { delete static_cast<std::string*>(blob); }

// A fence over several nodes: everybody gets all blobs, one after the other.
pmix_status_t FenceNb(const pmix_proc_t procs[], size_t count, const pmix_info_t[], size_t,
                      char* data, size_t size, pmix_modex_cbfunc_t callback, void* cookie) {
  std::string blob(data == nullptr ? "" : std::string(data, size));
  std::free(data);  // ours by the library's contract
  HostState& state = State();
  std::set<uint32_t> nodes;
  std::string participants;
  for (size_t i = 0; i < count; ++i) {
    if (procs[i].rank == PMIX_RANK_WILDCARD) {
      for (uint32_t node = 0; node < state.launch.nodes.size(); ++node) nodes.insert(node);
      participants += "*,";
    } else if (procs[i].rank < state.launch.world_size) {
      nodes.insert(state.launch.NodeOf(procs[i].rank));
      participants += fmt::format("{},", static_cast<uint32_t>(procs[i].rank));
    }
  }
  uint64_t turn = 0;
  {
    std::lock_guard lock(state.mutex);
    turn = state.fences[participants]++;
  }
  // A long list of ranks makes a long key; its hash is the same on every node.
  if (participants.size() > 40) {
    uint64_t hash = 14695981039346656037ull;
    for (char c : participants) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    participants = fmt::format("{}:{:016x}", count, hash);
  }
  state.exchange->Join(fmt::format("pmix/{}/{}", participants, turn),
                       static_cast<uint32_t>(nodes.size()), std::move(blob),
                       [callback, cookie](absl::StatusOr<std::vector<std::string>> blobs) {
                         if (!blobs.ok()) {
                           callback(PMIX_ERR_LOST_CONNECTION, nullptr, 0, cookie, nullptr, nullptr);
                           return;
                         }
                         auto* all = new std::string;
                         for (const std::string& one : *blobs) all->append(one);
                         callback(PMIX_SUCCESS, all->data(), all->size(), cookie, FreeBlob, all);
                       });
  return PMIX_SUCCESS;
}

pmix_server_module_t ServerModule() {
  pmix_server_module_t module;
  std::memset(&module, 0, sizeof(module));
  module.client_connected = ClientConnected;
  module.client_finalized = ClientFinalized;
  module.abort = Abort;
  module.fence_nb = FenceNb;
  module.register_events = RegisterEvents;
  module.deregister_events = DeregisterEvents;
  module.notify_event = NotifyEvent;
  return module;
}

template <typename Generate>
absl::StatusOr<std::string> Packed(Generate generate, const std::string& input) {
  char* packed = nullptr;
  const pmix_status_t status = generate(input.c_str(), &packed);
  if (status != PMIX_SUCCESS) return PmixError(status, "describe the ranks to PMIx");
  std::string text(packed);
  std::free(packed);
  return text;
}

std::string Join(const std::vector<std::string>& parts, const char* separator) {
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : separator) + part;
  return joined;
}

// "4,5,6,7"
std::string RankNumbers(uint32_t first, uint32_t count) {
  std::vector<std::string> numbers;
  for (uint32_t rank = first; rank < first + count; ++rank) numbers.push_back(std::to_string(rank));
  return Join(numbers, ",");
}

// Everything PMIx wants to know about the whole attempt.
absl::StatusOr<Infos> NamespaceInfos(const Launch& launch, const std::string& folder,
                                     const std::string& name_space) {
  const v1::NodeShare& share = launch.order.start().share();
  std::vector<std::string> nodes;
  std::vector<std::string> ranks_of_nodes;
  for (const LaunchNode& node : launch.nodes) {
    nodes.push_back(node.name);
    ranks_of_nodes.push_back(RankNumbers(node.first_rank, node.ranks));
  }
  MUSTER_ASSIGN_OR_RETURN(const std::string node_map,
                          Packed(PMIx_generate_regex, Join(nodes, ",")));
  MUSTER_ASSIGN_OR_RETURN(const std::string proc_map,
                          Packed(PMIx_generate_ppn, Join(ranks_of_nodes, ";")));
  const uint32_t world = launch.world_size;
  const uint32_t local = share.ranks();

  Infos infos;
  infos.Text(PMIX_NODE_MAP, node_map);
  infos.Text(PMIX_PROC_MAP, proc_map);
  infos.Text(PMIX_JOBID, name_space);
  infos.U32(PMIX_JOB_SIZE, world);
  infos.U32(PMIX_UNIV_SIZE, world);
  infos.U32(PMIX_MAX_PROCS, world);
  infos.U32(PMIX_NUM_NODES, static_cast<uint32_t>(nodes.size()));
  infos.U32(PMIX_LOCAL_SIZE, local);
  infos.U32(PMIX_NODE_SIZE, local);
  infos.Text(PMIX_LOCAL_PEERS, RankNumbers(share.first_rank(), share.ranks()));
  infos.Rank(PMIX_LOCALLDR, share.first_rank());
  infos.U32(PMIX_NODEID, launch.order.start().node_index());
  infos.U32(PMIX_JOB_NUM_APPS, 1);
  infos.Text(PMIX_TMPDIR, folder);
  infos.Text(PMIX_NSDIR, folder + "/ranks");
  for (uint32_t index = 0; index < launch.nodes.size(); ++index) {
    const LaunchNode& node = launch.nodes[index];
    for (uint32_t local_rank = 0; local_rank < node.ranks; ++local_rank) {
      const pmix_rank_t number = node.first_rank + local_rank;
      Infos rank;
      rank.Rank(PMIX_RANK, number);
      rank.U32(PMIX_APPNUM, 0);
      rank.Rank(PMIX_GLOBAL_RANK, number);
      rank.Rank(PMIX_APP_RANK, number);
      rank.U16(PMIX_LOCAL_RANK, static_cast<uint16_t>(local_rank));
      rank.U16(PMIX_NODE_RANK, static_cast<uint16_t>(local_rank));
      rank.U32(PMIX_NODEID, index);
      rank.Text(PMIX_HOSTNAME, node.name);
      infos.Array(PMIX_PROC_DATA, std::move(rank));
    }
  }
  return infos;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PmixHost>> PmixHost::Start(const Launch& launch,
                                                          const std::string& folder,
                                                          Exchange* exchange) {
  const v1::StartRanks& start = launch.order.start();
  const std::string& node = launch.order.node();
  HostState& state = State();
  if (state.exchange != nullptr) {
    return FailedPrecondition("start PMIx for {}: this process hosts {} already", start.job_uid(),
                              state.name_space);
  }
  state.exchange = exchange;
  // Fresh for every attempt: what a killed one left inside Open MPI's reach is then never found.
  state.name_space = fmt::format("muster.{}.{}", start.job_uid(), start.attempt());
  state.launch = launch;
  setenv("PMIX_MCA_gds", "hash", 1);

  Infos server;
  server.Text(PMIX_SERVER_TMPDIR, folder);
  server.Text(PMIX_SYSTEM_TMPDIR, folder);
  server.Text(PMIX_SERVER_NSPACE, "muster-shim." + node);
  server.Rank(PMIX_SERVER_RANK, 0);
  server.Text(PMIX_HOSTNAME, node);
  static pmix_server_module_t module = ServerModule();
  pmix_status_t status = PMIx_server_init(&module, server.data(), server.size());
  if (status != PMIX_SUCCESS) return PmixError(status, "start the PMIx server in " + folder);

  MUSTER_ASSIGN_OR_RETURN(Infos infos, NamespaceInfos(launch, folder, state.name_space));
  const auto local = static_cast<int>(start.share().ranks());
  // Without a callback these two block until done.
  status = PMIx_server_register_nspace(state.name_space.c_str(), local, infos.data(), infos.size(),
                                       nullptr, nullptr);
  if (status != PMIX_SUCCESS && status != PMIX_OPERATION_SUCCEEDED) {
    return PmixError(status, "register " + state.name_space + " with PMIx");
  }
  for (uint32_t i = 0; i < start.share().ranks(); ++i) {
    const uint32_t rank = start.share().first_rank() + i;
    pmix_proc_t proc;
    PMIX_LOAD_PROCID(&proc, state.name_space.c_str(), rank);
    status = PMIx_server_register_client(&proc, getuid(), getgid(), nullptr, nullptr, nullptr);
    if (status != PMIX_SUCCESS && status != PMIX_OPERATION_SUCCEEDED) {
      return PmixError(status, fmt::format("register rank {} with PMIx", rank));
    }
  }
  return std::unique_ptr<PmixHost>(new PmixHost(state.name_space));
}

absl::StatusOr<Environment> PmixHost::RankVariables(uint32_t rank) const {
  pmix_proc_t proc;
  PMIX_LOAD_PROCID(&proc, name_space_.c_str(), rank);
  char** lines = nullptr;
  const pmix_status_t status = PMIx_server_setup_fork(&proc, &lines);
  if (status != PMIX_SUCCESS) {
    return PmixError(status, fmt::format("PMIx variables of rank {}", rank));
  }
  Environment environment;
  for (char** line = lines; line != nullptr && *line != nullptr; ++line) {
    environment.push_back(*line);
    std::free(*line);
  }
  std::free(lines);
  return environment;
}

}  // namespace muster::worker::launch
