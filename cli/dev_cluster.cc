#include "cli/dev_cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "cli/find_coordinator.h"
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

}  // namespace

DevCluster::DevCluster(std::string state, DevPrograms programs)
    : state_(std::move(state)), programs_(std::move(programs)) {}

std::string DevCluster::Address() const {
  std::ifstream in(AddressFile(state_));
  std::string address;
  std::getline(in, address);
  return address;
}

DevCluster::Shape DevCluster::ReadShape() const {
  Shape shape;
  std::ifstream in(state_ + "/dev.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (json.is_object()) {
    shape.workers = json.value("workers", shape.workers);
    shape.slots = json.value("slots", shape.slots);
  }
  return shape;
}

absl::Status DevCluster::WriteShape(const Shape& shape) const {
  const std::string path = state_ + "/dev.json";
  std::ofstream out(path);
  out << nlohmann::json({{"workers", shape.workers}, {"slots", shape.slots}}).dump() << "\n";
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

absl::Status DevCluster::StartWorker(const std::string& name, uint64_t slots) {
  const std::string folder = state_ + "/workers/" + name;
  MUSTER_RETURN_IF_ERROR(MakeFolder(folder));
  MUSTER_ASSIGN_OR_RETURN(
      const ProcessId process,
      StartDetached({programs_.worker, "--node", name, "--state", folder, "--slots",
                     std::to_string(slots), "--coordinator-file", AddressFile(state_)},
                    {"MUSTER_DEV_STATE=" + state_}, LogFile(name)));
  return WriteProcessFile(PidFile(name), process);
}

absl::StatusOr<int> DevCluster::Up(uint64_t workers, uint64_t slots) {
  MUSTER_RETURN_IF_ERROR(Lock());
  Shape shape = ReadShape();
  if (workers != 0) shape.workers = workers;
  if (slots != 0) shape.slots = slots;
  MUSTER_RETURN_IF_ERROR(WriteShape(shape));
  int started = 0;
  if (!IsAlive(ReadProcessFile(PidFile("coordinator")))) {
    MUSTER_RETURN_IF_ERROR(StartCoordinator(kAnyPort));
    ++started;
  }
  for (uint64_t i = 1; i <= shape.workers; ++i) {
    const std::string name = fmt::format("n{}", i);
    if (IsAlive(ReadProcessFile(PidFile(name)))) continue;
    MUSTER_RETURN_IF_ERROR(StartWorker(name, shape.slots));
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
  return StartWorker(name, ReadShape().slots);
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
