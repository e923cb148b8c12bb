// muster-worker: runs the ranks of training jobs on one node.
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common/lock_order.h"
#include "common/log.h"
#include "common/status.h"
#include "spec/names.h"
#include "worker/daemon/options.h"
#include "worker/daemon/worker.h"

namespace {

constexpr char kFooter[] = R"(
Example: a worker of the coordinator on host "head", reachable by other workers as "node7":
  muster-worker --state /var/lib/muster/worker --coordinator head:7070 \
                --listen 0.0.0.0:7071 --advertise node7 \
                --pod p1 --rack r12 --nvlink r12a --label zone=a --taint maintenance

The worker keeps each attempt's ranks in a shim process (muster-shim). SIGTERM ends the worker and
leaves the ranks running; start it again on the same --state within the orphan grace and it takes
them up. To empty the node first: muster node drain NAME.
Logs of ranks: STATE/logs/<job>/<attempt>/<rank>/{stdout,stderr}.log
Exit codes: 0 ended by a signal, 1 error, 2 wrong use.)";

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

// The program beside this one.
std::string Beside(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / name).string();
}

// "NAME=VALUE" words into the options; also checks the taints.
absl::Status TakeLabels(const std::vector<std::string>& words,
                        muster::worker::daemon::Options* options) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return muster::InvalidArgument("--label {:.60}: want NAME=VALUE, e.g. zone=a", word);
    }
    muster::v1::Label label;
    label.set_name(word.substr(0, equals));
    label.set_value(word.substr(equals + 1));
    for (const absl::Status& status : {muster::spec::CheckLabelName(label.name()),
                                       muster::spec::CheckLabelValue(label.value())}) {
      if (!status.ok()) return muster::Annotate(status, "--label " + word);
    }
    for (const muster::v1::Label& other : options->labels) {
      if (other.name() == label.name()) {
        return muster::InvalidArgument("--label {}: this label is given twice; keep one", word);
      }
    }
    options->labels.push_back(std::move(label));
  }
  for (const std::string& taint : options->taints) {
    if (const absl::Status status = muster::spec::CheckTaint(taint); !status.ok()) {
      return muster::Annotate(status, "--taint " + taint);
    }
  }
  return absl::OkStatus();
}

int Fail(const std::string& message, int code) {
  std::fprintf(stderr, "muster-worker: %s\n", message.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  muster::IgnoreLockOrder();
  muster::worker::daemon::Options options;
  options.node = HostName();
  options.shim = Beside("muster-shim");
  options.trainer = Beside("muster-train");
  options.preflight = Beside("muster-preflight");
  std::vector<std::string> labels;
  std::string log_level = "info";

  CLI::App app{"Runs the ranks of training jobs on this node, as the coordinator orders."};
  app.footer(kFooter);
  app.set_version_flag("--version", "muster-worker " MUSTER_VERSION);
  app.add_option("--node", options.node, "Name of this node in the cluster")->capture_default_str();
  app.add_option("--state", options.state, "Folder for the worker's state and the ranks' logs")
      ->required();
  auto* coordinator =
      app.add_option("--coordinator", options.coordinator, "Address of the coordinator, host:port");
  auto* file = app.add_option("--coordinator-file", options.coordinator_file,
                              "File whose first line is that address; read at every attempt");
  coordinator->excludes(file);
  app.add_option("--listen", options.listen,
                 "Where this worker serves its peers and log readers; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--advertise", options.advertise,
                 "Host name others reach this node by [the host of --listen]");
  app.add_option("--slots", options.slots, "Device slots [GPUs found, else cores]")
      ->check(CLI::Range(1u, 1u << 16));
  app.add_option("--nvlink", *options.location.mutable_nvlink(),
                 "NVLink segment this node sits in, inside a rack");
  app.add_option("--rack", *options.location.mutable_rack(), "Rack it sits in");
  app.add_option("--pod", *options.location.mutable_pod(), "Pod (group of racks) it sits in");
  app.add_option("--label", labels, "NAME=VALUE that jobs may select it by; may be repeated");
  app.add_option("--taint", options.taints,
                 "Word that a job must tolerate to run here; may be repeated");
  app.add_option("--cluster-id", options.cluster_id,
                 "Only serve this cluster [that of the first coordinator]");
  app.add_option("--orphan-grace-ms", options.orphan_grace_ms,
                 "How long ranks run on without a worker")
      ->capture_default_str();
  app.add_option("--log-bytes-max", options.log_bytes_max,
                 "Bytes of a rank's log file before it is rotated (one older file is kept)")
      ->capture_default_str();
  app.add_option("--vault", options.vault,
                 "Folder in memory where ranks keep checkpoints [one below /dev/shm]");
  app.add_option("--vault-memory", options.vault_bytes,
                 "How much of it they may use in all, e.g. 64GiB; 0 turns it off [half of what is "
                 "available at the start]")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--drain-bandwidth", options.drain_bytes_per_second,
                 "Bytes per second this node may write checkpoints with, e.g. 500MB [no bound]")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--shim", options.shim, "The muster-shim program [beside this one]");
  app.add_option("--trainer", options.trainer, "The muster-train program [beside this one]");
  app.add_option("--preflight", options.preflight,
                 "The program this node tests itself with, muster-preflight [beside this one]");
  app.add_option("--log-level", log_level, "trace, debug, info, warn or error")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.coordinator.empty() && options.coordinator_file.empty()) {
    return Fail("which coordinator? give --coordinator host:port or --coordinator-file PATH", 2);
  }
  if (options.node.empty()) return Fail("this machine has no host name; give --node NAME", 2);
  if (options.listen.rfind(':') == std::string::npos) {
    return Fail("--listen " + options.listen + ": want host:port, e.g. 127.0.0.1:0", 2);
  }
  if (const auto status = TakeLabels(labels, &options); !status.ok()) {
    return Fail(std::string(status.message()), 2);
  }
  if (access(options.shim.c_str(), X_OK) != 0) {
    return Fail("no program " + options.shim + "; install muster-shim there or give --shim PATH",
                1);
  }
  if (const auto status = muster::SetUpLog("muster-worker", log_level); !status.ok()) {
    return Fail(std::string(status.message()), 2);
  }
  // Before any thread is made, so that the loop alone takes them.
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);

  auto worker = muster::worker::daemon::Worker::Create(options);
  if (!worker.ok()) return Fail(std::string(worker.status().message()), 1);
  const absl::Status status = (*worker)->Run();
  if (!status.ok()) return Fail(std::string(status.message()), 1);
  return 0;
}
