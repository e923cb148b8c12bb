#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include "common/lock_order.h"
#include "common/log.h"
#include "coordinator/daemon/coordinator.h"

namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;

constexpr const char* kDescription =
    "The coordinator of a Muster cluster: places jobs on workers, watches them, and recovers "
    "them.\n"
    "It keeps its state in one folder; started again on that folder it goes on where it was, and\n"
    "ranks run on while it is away.";

constexpr const char* kExamples =
    "Example: a cluster on this machine\n"
    "  muster-coordinator --state /var/lib/muster/coordinator &\n"
    "  muster-worker --node n1 --coordinator 127.0.0.1:7070 --state /var/lib/muster/n1 &\n"
    "  muster --coordinator 127.0.0.1:7070 node list\n"
    "\n"
    "Signals: SIGTERM and SIGINT end it cleanly. Exit codes: 0 ended by a signal, 1 error, 2 "
    "usage.\n"
    "Files in the state folder: journal.db (all that must survive), address (host:port, while it\n"
    "runs), lock.";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "muster-coordinator: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitError;
}

}  // namespace

int main(int argc, char** argv) {
  muster::IgnoreLockOrder();
  using muster::coordinator::daemon::Coordinator;
  muster::coordinator::daemon::CoordinatorOptions options;
  std::string log_level = "info";
  std::string repair;
  int64_t heartbeat_ms = absl::ToInt64Milliseconds(options.core.heartbeat_interval);
  int64_t suspect_ms = absl::ToInt64Milliseconds(options.core.suspect_after);
  int64_t dead_ms = absl::ToInt64Milliseconds(options.core.dead_after);
  int64_t preempt_grace_ms = absl::ToInt64Milliseconds(options.core.preempt_grace);
  int64_t reconnect_grace_ms = absl::ToInt64Milliseconds(options.core.reconnect_grace);

  muster::coordinator::core::QuarantineOptions& quarantine = options.core.quarantine;
  double cool_down_s = absl::ToDoubleSeconds(quarantine.cool_down);
  double cool_down_max_s = absl::ToDoubleSeconds(quarantine.cool_down_max);
  double probation_s = absl::ToDoubleSeconds(quarantine.probation);
  double half_life_s = absl::ToDoubleSeconds(quarantine.half_life);

  CLI::App app{kDescription, "muster-coordinator"};
  app.footer(kExamples);
  app.set_version_flag("--version", "muster-coordinator " MUSTER_VERSION);
  app.add_option("--listen", options.listen,
                 "HOST:PORT of the gRPC server; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--state", options.state_path, "folder for everything that must survive a restart")
      ->required();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "HOST:PORT for Prometheus (GET /metrics); without it only the GetMetrics call");
  app.add_option("--repair", repair,
                 "\"truncate\": give up a damaged journal from its first damaged record on, after "
                 "copying it aside; says how many records were dropped")
      ->check(CLI::IsMember({"truncate"}));
  app.add_option("--log-level", log_level, "trace, debug, info, warn or error")
      ->capture_default_str();
  const CLI::Range milliseconds(int64_t{10}, int64_t{3'600'000});
  app.add_option("--heartbeat-ms", heartbeat_ms, "how often workers are asked to report")
      ->check(milliseconds)
      ->capture_default_str();
  app.add_option("--suspect-ms", suspect_ms, "a worker silent for this long gets no new ranks")
      ->check(milliseconds)
      ->capture_default_str();
  app.add_option("--dead-ms", dead_ms, "a worker silent or away for this long loses its ranks")
      ->check(milliseconds)
      ->capture_default_str();
  app.add_option("--reconnect-grace-ms", reconnect_grace_ms,
                 "after a start, how long workers may take to come back before they are given up")
      ->check(milliseconds)
      ->capture_default_str();
  app.add_option("--preempt-grace-ms", preempt_grace_ms,
                 "how long a job that is preempted, suspended, requeued, scaled or out of time may "
                 "take to save, where its job file does not say")
      ->check(milliseconds)
      ->capture_default_str();
  app.add_option("--price-per-slot-hour", options.core.price_per_slot_hour,
                 "what a slot costs an hour, for the ledger; 0 = it shows no costs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--currency", options.core.currency, "of the price; at most 8 characters")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return text.empty() || text.size() > 8 ? std::string("want 1 to 8 characters") : "";
          },
          "TEXT"))
      ->capture_default_str();
  const CLI::Range seconds(0.1, 31'536'000.0);
  app.add_option("--quarantine-share", quarantine.share,
                 "of the nodes, at least one, that the coordinator may quarantine by itself; 0: "
                 "none, it only advises")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--quarantine-score", quarantine.guilty_score,
                 "failure score from which a node is quarantined; a lost node adds 0.9")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--quarantine-half-life-s", half_life_s, "in which a failure counts half")
      ->check(seconds)
      ->capture_default_str();
  app.add_option("--quarantine-cool-down-s", cool_down_s,
                 "how long a quarantined node waits for its test; doubles with each quarantine "
                 "within a week")
      ->check(seconds)
      ->capture_default_str();
  app.add_option("--quarantine-cool-down-max-s", cool_down_max_s, "it doubles up to this")
      ->check(seconds)
      ->capture_default_str();
  app.add_option("--probation-s", probation_s,
                 "after its test, how long a failure of the node counts double")
      ->check(seconds)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "muster-coordinator: %s; see --help\n", error.what());
    return kExitUsage;
  }
  if (suspect_ms < 2 * heartbeat_ms || dead_ms <= suspect_ms) {
    return Fail(absl::InvalidArgumentError(
        "the times do not fit together: --suspect-ms must be at least twice --heartbeat-ms, and "
        "--dead-ms more than --suspect-ms"));
  }
  options.repair_by_truncation = !repair.empty();
  options.core.heartbeat_interval = absl::Milliseconds(heartbeat_ms);
  options.core.suspect_after = absl::Milliseconds(suspect_ms);
  options.core.dead_after = absl::Milliseconds(dead_ms);
  options.core.preempt_grace = absl::Milliseconds(preempt_grace_ms);
  options.core.reconnect_grace = absl::Milliseconds(reconnect_grace_ms);
  quarantine.cool_down = absl::Seconds(cool_down_s);
  quarantine.cool_down_max = absl::Seconds(std::max(cool_down_s, cool_down_max_s));
  quarantine.probation = absl::Seconds(probation_s);
  quarantine.half_life = absl::Seconds(half_life_s);
  if (const absl::Status status = muster::SetUpLog("coordinator", log_level); !status.ok()) {
    return Fail(status);
  }

  // Blocked before any thread exists, so that only the one below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto coordinator = Coordinator::Start(options);
  if (!coordinator.ok()) return Fail(coordinator.status());
  std::thread waiter([&] {
    int received = 0;
    sigwait(&signals, &received);
    (*coordinator)->Stop();
  });
  const absl::Status ended = (*coordinator)->Wait();
  // When it was not a signal that ended it: the waiter takes this one with sigwait.
  pthread_kill(waiter.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  waiter.join();
  if (!ended.ok()) return Fail(ended);
  spdlog::info("stopped; ranks run on");
  return 0;
}
