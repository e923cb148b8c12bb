#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/job_text.h"
#include "cli/node_text.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct TopOptions {
  bool once = false;
  absl::Duration every = absl::Seconds(2);
};

absl::StatusOr<std::string> Screen(Session& session) {
  MUSTER_ASSIGN_OR_RETURN(const v1::GetClusterResponse cluster, session.client().GetCluster());
  MUSTER_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, session.client().ListNodes());
  v1::ListJobsRequest request;
  for (const v1::JobState state : {v1::JOB_STATE_QUEUED, v1::JOB_STATE_STARTING,
                                   v1::JOB_STATE_RUNNING, v1::JOB_STATE_STOPPING}) {
    request.add_states(state);
  }
  MUSTER_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs, session.client().ListJobs(request));
  const int64_t now = absl::ToUnixMillis(absl::Now());
  const bool wide = session.format() == OutputFormat::kWide;
  return fmt::format(
      "cluster {}  epoch {}  {}/{} nodes ready  {}/{} slots used  {} jobs active, {} waiting\n\n"
      "{}\n{}",
      cluster.cluster_id(), cluster.epoch(), cluster.nodes_ready(), cluster.nodes_total(),
      cluster.slots_used(), cluster.slots_total(), cluster.jobs_active(), cluster.jobs_waiting(),
      NodeTable(nodes, now, wide), JobTable(jobs, now, wide));
}

absl::StatusOr<int> Top(Session& session, const TopOptions& options) {
  const bool once = options.once || !IsTerminal(stdout);
  for (;;) {
    const absl::StatusOr<std::string> screen = Screen(session);
    if (once) {
      if (!screen.ok()) return screen.status();
      fmt::print("{}", *screen);
      return kExitOk;
    }
    fmt::print("\033[H\033[2J{}", screen.ok() ? *screen : std::string(screen.status().message()));
    std::fflush(stdout);
    absl::SleepFor(options.every);
  }
}

}  // namespace

Command TopCommand(Session* session) {
  auto options = std::make_shared<TopOptions>();
  Command command;
  command.name = "top";
  command.summary = "Nodes and running jobs, refreshed";
  command.examples = R"(  muster top                 until Ctrl-C
  muster top --once          one look, for a script or a log)";
  command.options = {{"--once", &options->once, "print once", false, {}},
                     {"--every", &options->every, "time between looks (2s)", false, {}}};
  command.run = [session, options] { return Top(*session, *options); };
  return command;
}

}  // namespace muster::cli
