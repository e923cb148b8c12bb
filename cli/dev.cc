#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/dev_cluster.h"
#include "cli/exit_codes.h"
#include "cli/proto_json.h"
#include "cli/table.h"
#include "common/status.h"
#include "spec/yaml_text.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kJoinWait = absl::Seconds(30);

DevCluster ClusterOf(const Session& session) {
  const std::filesystem::path state = std::filesystem::absolute(StateFolder(session.hints));
  std::string path = state.lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return DevCluster(path, {ProgramBeside(session, "muster-coordinator"),
                           ProgramBeside(session, "muster-worker")});
}

void PrintDaemons(const Session& session, const DevCluster& cluster) {
  if (session.machine_readable()) {
    nlohmann::ordered_json daemons = nlohmann::ordered_json::array();
    for (const DevDaemon& daemon : cluster.Daemons()) {
      daemons.push_back({{"name", daemon.name},
                         {"pid", daemon.process.pid},
                         {"alive", daemon.alive},
                         {"log", daemon.log}});
    }
    const nlohmann::ordered_json json = {{"address", cluster.Address()}, {"daemons", daemons}};
    fmt::print("{}", session.format() == OutputFormat::kYaml ? spec::YamlText(json)
                                                             : JsonText(json, 2) + "\n");
    return;
  }
  Table table({"NAME", "STATE", "PID", "LOG"});
  for (const DevDaemon& daemon : cluster.Daemons()) {
    table.AddRow({daemon.name, daemon.alive ? "running" : "dead",
                  std::to_string(daemon.process.pid), daemon.log});
  }
  fmt::print("{}", table.Text());
}

// Until every living worker of the folder is a ready node.
absl::Status WaitForWorkers(Session& session, const DevCluster& cluster) {
  // The folder's own coordinator, whatever the environment says.
  Client client([&cluster]() -> absl::StatusOr<std::string> { return cluster.Address(); },
                session.deadline);
  const absl::Time until = absl::Now() + kJoinWait;
  for (;;) {
    size_t wanted = 0;
    size_t ready = 0;
    MUSTER_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, client.ListNodes());
    for (const DevDaemon& daemon : cluster.Daemons()) {
      if (daemon.name == "coordinator") continue;
      if (!daemon.alive) {
        return Internal("worker {} ended; see {}", daemon.name, daemon.log);
      }
      ++wanted;
      for (const v1::Node& node : nodes.nodes()) {
        if (node.name() == daemon.name && node.state() == v1::NODE_STATE_READY) ++ready;
      }
    }
    if (ready >= wanted) return absl::OkStatus();
    if (absl::Now() > until) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "{} of {} workers joined so far; see their logs and: muster node list", ready,
                   wanted);
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

absl::StatusOr<int> Up(Session& session, const DevShape& shape) {
  DevCluster cluster = ClusterOf(session);
  const auto started = cluster.Up(shape);
  if (!started.ok()) return During("dev up", started.status());
  if (const absl::Status status = WaitForWorkers(session, cluster); !status.ok()) {
    return During("dev up", status);
  }
  if (!session.machine_readable()) {
    fmt::print("{} at {}\n",
               *started == 0 ? "already up, nothing to do:" : "cluster is up:", cluster.Address());
  }
  PrintDaemons(session, cluster);
  return kExitOk;
}

absl::StatusOr<int> Down(const Session& session) {
  const auto ended = ClusterOf(session).Down();
  if (!ended.ok()) return During("dev down", ended.status());
  if (*ended == 0) {
    fmt::print("nothing was running\n");
  } else {
    fmt::print("ended {} process{}; nothing is left running\n", *ended, *ended == 1 ? "" : "es");
  }
  return kExitOk;
}

absl::StatusOr<int> Status(const Session& session) {
  const DevCluster cluster = ClusterOf(session);
  const std::vector<DevDaemon> daemons = cluster.Daemons();
  if (daemons.empty()) {
    return NotFound("dev status: no cluster in {}; start one with: muster dev up",
                    StateFolder(session.hints));
  }
  PrintDaemons(session, cluster);
  for (const DevDaemon& daemon : daemons) {
    if (!daemon.alive) return kExitError;
  }
  return kExitOk;
}

}  // namespace

Command DevCommand(Session* session) {
  auto shape = std::make_shared<DevShape>();
  Command up;
  up.name = "up";
  up.summary = "Start a coordinator and workers here, in the background";
  up.examples = R"(  muster dev up                           2 workers of 2 slots, state in .muster
  muster dev up --workers 3 --slots 1 --state /var/tmp/muster
  muster dev up --workers 8 --nodes-per-rack 4 --label 'n[1-4]:zone=a' --taint n8:maintenance
                                          with pretended places, to try placement out
Run again, it starts only what does not run.)";
  up.options = {
      {"--workers", &shape->workers, "how many (2)", false, {}},
      {"--slots", &shape->slots, "device slots of each (2)", false, {}},
      {"--nodes-per-nvlink", &shape->nodes_per_nvlink, "nodes of an NVLink segment", false, {}},
      {"--nodes-per-rack", &shape->nodes_per_rack, "nodes of a rack", false, {}},
      {"--racks-per-pod", &shape->racks_per_pod, "racks of a pod", false, {}},
      {"--label", &shape->labels, "NODES:NAME=VALUE; may be repeated", false, {}},
      {"--taint", &shape->taints, "NODES:WORD; may be repeated", false, {}}};
  up.run = [session, shape] { return Up(*session, *shape); };

  const Command down =
      LeafCommand("down", "End all of it, running ranks too; jobs go on after the next up",
                  "  muster dev down", [session] { return Down(*session); });
  const Command status =
      LeafCommand("status", "The daemons with their pids and logs; exit code 1 if one is dead",
                  "  muster dev status\n  muster dev status -o json | jq -r .address",
                  [session] { return Status(*session); });

  auto kill = std::make_shared<bool>(false);
  auto name = std::make_shared<std::string>();
  Command worker;
  worker.name = "restart-worker";
  worker.summary = "End one worker and start it again; its ranks run on";
  worker.examples = "  muster dev restart-worker n1\n  muster dev restart-worker n1 --kill";
  worker.options = {{"NAME", name.get(), "as in muster dev status", true, {}},
                    {"--kill", kill.get(), "by SIGKILL, as a crash would", false, {}}};
  worker.run = [session, name, kill]() -> absl::StatusOr<int> {
    MUSTER_RETURN_IF_ERROR(ClusterOf(*session).RestartWorker(*name, *kill));
    return kExitOk;
  };

  Command coordinator;
  coordinator.name = "restart-coordinator";
  coordinator.summary = "End the coordinator and start it again at its address; jobs run on";
  coordinator.examples = "  muster dev restart-coordinator --kill";
  coordinator.options = {{"--kill", kill.get(), "by SIGKILL, as a crash would", false, {}}};
  coordinator.run = [session, kill]() -> absl::StatusOr<int> {
    MUSTER_RETURN_IF_ERROR(ClusterOf(*session).RestartCoordinator(*kill));
    return kExitOk;
  };

  Command command;
  command.name = "dev";
  command.summary = "A cluster on this machine";
  command.examples = "  muster dev up\n  muster dev down";
  command.children = {up, down, status, worker, coordinator};
  return command;
}

}  // namespace muster::cli
