#include "cli/dev_cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "cli/find_coordinator.h"
#include "common/hostlist.h"
#include "common/status.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(5);
constexpr absl::Duration kStartWait = absl::Seconds(20);
constexpr char kAnyPort[] = "127.0.0.1:0";

std::string LastLine(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::string last = "no output";
  while (std::getline(in, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoError(error.value(), "make folder " + path);
  return absl::OkStatus();
}

std::string ValueOf(const ProcessInfo& process, const std::string& name) {
  for (const std::string& variable : process.environment) {
    if (absl::StartsWith(variable, name + "=")) return variable.substr(name.size() + 1);
  }
  return "";
}

// The flags of `words` ("n[1-2]:zone=a") that are about this node.
absl::Status AddFlagsOf(const std::string& name, const std::string& flag,
                        const std::vector<std::string>& words, std::vector<std::string>* flags) {
  for (const std::string& word : words) {
    const size_t colon = word.find(':');
    if (colon == std::string::npos) {
      return InvalidArgument("{} {:.60}: want the nodes first, such as n[1-2]:{}", flag, word,
                             word);
    }
    const auto names = ParseHostlist(word.substr(0, colon));
    if (!names.ok()) return Annotate(names.status(), flag);
    if (std::find(names->begin(), names->end(), name) == names->end()) continue;
    flags->push_back(flag);
    flags->push_back(word.substr(colon + 1));
  }
  return absl::OkStatus();
}

// Where worker "n5" pretends to sit, and what is said about it.
absl::StatusOr<std::vector<std::string>> PlaceFlags(const std::string& name,
                                                    const DevShape& shape) {
  std::vector<std::string> flags;
  const uint64_t index = std::stoull(name.substr(1)) - 1;  // our own names: n1, n2, ...
  if (shape.nodes_per_nvlink > 0) {
    flags.insert(flags.end(), {"--nvlink", fmt::format("s{}", index / shape.nodes_per_nvlink + 1)});
  }
  if (shape.nodes_per_rack > 0) {
    const uint64_t rack = index / shape.nodes_per_rack;
    flags.insert(flags.end(), {"--rack", fmt::format("r{}", rack + 1)});
    if (shape.racks_per_pod > 0) {
      flags.insert(flags.end(), {"--pod", fmt::format("p{}", rack / shape.racks_per_pod + 1)});
    }
  }
  MUSTER_RETURN_IF_ERROR(AddFlagsOf(name, "--label", shape.labels, &flags));
  MUSTER_RETURN_IF_ERROR(AddFlagsOf(name, "--taint", shape.taints, &flags));
  return flags;
}

}  // namespace

DevCluster::DevCluster(std::string state, DevPrograms programs)
    : state_(std::move(state)), programs_(std::move(programs)) {}

std::string DevCluster::Address() const {
  std::ifstream in(AddressFile(state_));
  std::string address;
  std::getline(in, address);
  return address;
}

DevShape DevCluster::ReadShape() const {
  DevShape shape;
  shape.workers = 2;
  shape.slots = 2;
  std::ifstream in(state_ + "/dev.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (json.is_object()) {
    shape.workers = json.value("workers", shape.workers);
    shape.slots = json.value("slots", shape.slots);
    shape.nodes_per_nvlink = json.value("nodes_per_nvlink", uint64_t{0});
    shape.nodes_per_rack = json.value("nodes_per_rack", uint64_t{0});
    shape.racks_per_pod = json.value("racks_per_pod", uint64_t{0});
    shape.labels = json.value("labels", shape.labels);
    shape.taints = json.value("taints", shape.taints);
  }
  return shape;
}

absl::Status DevCluster::WriteShape(const DevShape& shape) const {
  const std::string path = state_ + "/dev.json";
  std::ofstream out(path);
  const nlohmann::json json = {{"workers", shape.workers},
                               {"slots", shape.slots},
                               {"nodes_per_nvlink", shape.nodes_per_nvlink},
                               {"nodes_per_rack", shape.nodes_per_rack},
                               {"racks_per_pod", shape.racks_per_pod},
                               {"labels", shape.labels},
                               {"taints", shape.taints}};
  out << json.dump() << "\n";
  out.close();
  return out ? absl::OkStatus() : ErrnoError(errno, "write " + path);
}

absl::Status DevCluster::Lock() {
  MUSTER_RETURN_IF_ERROR(MakeFolder(state_));
  const std::string path = state_ + "/dev.lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(errno, "open " + path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return FailedPrecondition("{}: another muster dev works on it now; wait for it", state_);
  }
  return absl::OkStatus();  // held until the program ends
}

std::vector<DevDaemon> DevCluster::Daemons() const {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(state_, error)) {
    if (entry.path().extension() == ".pid" && entry.path().stem() != "coordinator") {
      names.insert(entry.path().stem().string());
    }
  }
  std::vector<DevDaemon> daemons;
  const auto add = [&](const std::string& name) {
    const ProcessId process = ReadProcessFile(PidFile(name));
    daemons.push_back({name, process, IsAlive(process), LogFile(name)});
  };
  if (std::filesystem::exists(PidFile("coordinator"), error)) add("coordinator");
  for (const std::string& name : names) add(name);
  return daemons;
}

absl::Status DevCluster::StartCoordinator(const std::string& listen) {
  const std::string folder = state_ + "/coordinator";
  MUSTER_RETURN_IF_ERROR(MakeFolder(folder));
  std::error_code error;
  std::filesystem::remove(AddressFile(state_), error);
  MUSTER_ASSIGN_OR_RETURN(
      const ProcessId process,
      StartDetached({programs_.coordinator, "--state", folder, "--listen", listen},
                    {"MUSTER_DEV_STATE=" + state_}, LogFile("coordinator")));
  MUSTER_RETURN_IF_ERROR(WriteProcessFile(PidFile("coordinator"), process));
  const absl::Time until = absl::Now() + kStartWait;
  while (Address().empty()) {
    if (!IsAlive(process)) {
      return Internal("start the coordinator: it ended: {}; see {}",
                      LastLine(LogFile("coordinator")), LogFile("coordinator"));
    }
    if (absl::Now() > until) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "start the coordinator: it does not serve yet; see {}", LogFile("coordinator"));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::OkStatus();
}

absl::Status DevCluster::StartWorker(const std::string& name, const DevShape& shape) {
  const std::string folder = state_ + "/workers/" + name;
  MUSTER_RETURN_IF_ERROR(MakeFolder(folder));
  std::vector<std::string> command = {programs_.worker,
                                      "--node",
                                      name,
                                      "--state",
                                      folder,
                                      "--slots",
                                      std::to_string(shape.slots),
                                      "--coordinator-file",
                                      AddressFile(state_)};
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::string> place, PlaceFlags(name, shape));
  command.insert(command.end(), place.begin(), place.end());
  MUSTER_ASSIGN_OR_RETURN(const ProcessId process,
                          StartDetached(command, {"MUSTER_DEV_STATE=" + state_}, LogFile(name)));
  return WriteProcessFile(PidFile(name), process);
}

absl::StatusOr<int> DevCluster::Up(const DevShape& wanted) {
  MUSTER_RETURN_IF_ERROR(PlaceFlags("n1", wanted).status());  // before anything is made
  MUSTER_RETURN_IF_ERROR(Lock());
  DevShape shape = ReadShape();
  if (wanted.workers != 0) shape.workers = wanted.workers;
  if (wanted.slots != 0) shape.slots = wanted.slots;
  if (wanted.nodes_per_nvlink != 0) shape.nodes_per_nvlink = wanted.nodes_per_nvlink;
  if (wanted.nodes_per_rack != 0) shape.nodes_per_rack = wanted.nodes_per_rack;
  if (wanted.racks_per_pod != 0) shape.racks_per_pod = wanted.racks_per_pod;
  if (!wanted.labels.empty()) shape.labels = wanted.labels;
  if (!wanted.taints.empty()) shape.taints = wanted.taints;
  MUSTER_RETURN_IF_ERROR(WriteShape(shape));
  int started = 0;
  if (!IsAlive(ReadProcessFile(PidFile("coordinator")))) {
    MUSTER_RETURN_IF_ERROR(StartCoordinator(kAnyPort));
    ++started;
  }
  for (uint64_t i = 1; i <= shape.workers; ++i) {
    const std::string name = fmt::format("n{}", i);
    if (IsAlive(ReadProcessFile(PidFile(name)))) continue;
    MUSTER_RETURN_IF_ERROR(StartWorker(name, shape));
    ++started;
  }
  return started;
}

absl::Status DevCluster::RestartWorker(const std::string& name, bool kill) {
  MUSTER_RETURN_IF_ERROR(Lock());
  std::error_code error;
  if (!std::filesystem::exists(PidFile(name), error) || name == "coordinator") {
    return NotFound("restart worker {}: no such worker in {}; see muster dev status", name, state_);
  }
  MUSTER_RETURN_IF_ERROR(
      EndProcess(ReadProcessFile(PidFile(name)), kill ? absl::ZeroDuration() : kStopGrace));
  return StartWorker(name, ReadShape());
}

absl::Status DevCluster::RestartCoordinator(bool kill) {
  MUSTER_RETURN_IF_ERROR(Lock());
  std::error_code error;
  if (!std::filesystem::exists(PidFile("coordinator"), error)) {
    return NotFound("restart the coordinator: none in {}; start one with: muster dev up", state_);
  }
  // At the same address, for those who were told it.
  const std::string address = Address();
  MUSTER_RETURN_IF_ERROR(EndProcess(ReadProcessFile(PidFile("coordinator")),
                                    kill ? absl::ZeroDuration() : kStopGrace));
  return StartCoordinator(address.empty() ? kAnyPort : address);
}

// Whatever still runs of this cluster besides its daemons: shims, ranks and what they started.
std::vector<ProcessInfo> DevCluster::Leftovers() const {
  const std::string folder = state_ + "/workers/";
  std::vector<ProcessInfo> left;
  for (ProcessInfo& process : ListProcesses()) {
    bool ours = ValueOf(process, "MUSTER_DEV_STATE") == state_ ||
                absl::StartsWith(ValueOf(process, "TMPDIR"), folder);
    if (!process.command.empty() &&
        absl::StartsWith(std::filesystem::path(process.command[0]).filename().string(),
                         "muster-")) {
      for (const std::string& word : process.command) {
        ours = ours || absl::StartsWith(word, folder);
      }
    }
    if (ours) left.push_back(std::move(process));
  }
  return left;
}

absl::StatusOr<int> DevCluster::Down() {
  std::error_code error;
  if (!std::filesystem::exists(state_, error)) return 0;
  MUSTER_RETURN_IF_ERROR(Lock());
  int ended = 0;
  // The coordinator first: so it does not take the end of the workers for their death.
  for (const DevDaemon& daemon : Daemons()) {
    if (daemon.alive) ++ended;
    MUSTER_RETURN_IF_ERROR(EndProcess(daemon.process, kStopGrace));
  }
  std::set<std::string> scopes;
  for (int round = 0; round < 20; ++round) {
    const std::vector<ProcessInfo> left = Leftovers();
    if (left.empty()) break;
    for (const ProcessInfo& process : left) {
      scopes.insert(ValueOf(process, "MUSTER_SCOPE"));
      if (!IsAlive(process.id)) continue;
      ++ended;
      MUSTER_RETURN_IF_ERROR(EndProcess(process.id, absl::ZeroDuration()));
    }
  }
  for (const std::string& scope : scopes) {
    if (scope.size() == 16 && scope.find_first_not_of("0123456789abcdef") == std::string::npos) {
      std::filesystem::remove_all("/dev/shm/muster-" + scope, error);
    }
  }
  if (const std::vector<ProcessInfo> left = Leftovers(); !left.empty()) {
    return Internal("{}: {} processes keep coming back, one is {}; stop it by hand", state_,
                    left.size(), left.front().id.pid);
  }
  for (const DevDaemon& daemon : Daemons()) std::filesystem::remove(PidFile(daemon.name), error);
  std::filesystem::remove(AddressFile(state_), error);
  return ended;
}

}  // namespace muster::cli
