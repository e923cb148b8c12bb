#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/job_text.h"
#include "common/status.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> Status(Session& session) {
  MUSTER_ASSIGN_OR_RETURN(const v1::GetClusterResponse c, session.client().GetCluster());
  if (session.machine_readable()) {
    PrintMessage(session, c);
    return kExitOk;
  }
  fmt::print("Cluster:      {}\n", Printable(c.cluster_id()));
  fmt::print("Coordinator:  {}, epoch {}, revision {}, up {}\n", Printable(c.version()), c.epoch(),
             c.revision(), SinceText(c.start_unix_ms(), absl::ToUnixMillis(absl::Now())));
  fmt::print("Nodes:        {} ready of {}\n", c.nodes_ready(), c.nodes_total());
  fmt::print("Slots:        {} used of {}\n", c.slots_used(), c.slots_total());
  fmt::print("Jobs:         {} active, {} waiting\n", c.jobs_active(), c.jobs_waiting());
  return kExitOk;
}

absl::StatusOr<int> Metrics(Session& session) {
  MUSTER_ASSIGN_OR_RETURN(const v1::GetMetricsResponse metrics, session.client().GetMetrics());
  if (session.machine_readable()) {
    PrintMessage(session, metrics);
  } else {
    fmt::print("{}", metrics.text());
  }
  return kExitOk;
}

absl::StatusOr<int> Backup(Session& session, const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return Internal("backup to {}: {}", path, error.message());
  const auto backup = session.client().BackupState(absolute.lexically_normal().string());
  if (!backup.ok()) return During(fmt::format("backup to {}", path), backup.status());
  if (session.machine_readable()) {
    PrintMessage(session, *backup);
  } else {
    fmt::print(
        "{}: {}, {} records; restore it by putting it into an empty --state folder of "
        "muster-coordinator\n",
        backup->path(), BytesText(backup->bytes()), backup->records());
  }
  return kExitOk;
}

}  // namespace

Command ClusterCommand(Session* session) {
  const Command status =
      LeafCommand("status", "Nodes, slots and jobs in numbers",
                  "  muster cluster status\n  muster cluster status -o json | jq .nodes_ready",
                  [session] { return Status(*session); });
  const Command metrics = LeafCommand("metrics", "The coordinator's metrics in Prometheus text",
                                      "  muster cluster metrics | grep goodput",
                                      [session] { return Metrics(*session); });

  auto path = std::make_shared<std::string>();
  Command backup;
  backup.name = "backup";
  backup.summary = "A consistent copy of the coordinator's state, written on its machine";
  backup.examples = "  muster cluster backup /backups/muster-$(date +%F).db";
  backup.options = {{"PATH", path.get(), "new file on the coordinator's machine", true, {}}};
  backup.run = [session, path] { return Backup(*session, *path); };

  Command command;
  command.name = "cluster";
  command.summary = "The cluster as a whole";
  command.examples = "  muster cluster status\n  muster cluster backup /backups/today.db";
  command.children = {status, metrics, backup};
  return command;
}

}  // namespace muster::cli
