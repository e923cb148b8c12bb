// muster-fleet: thousands of simulated workers for tests of scale.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/lock_order.h"
#include "fleet/fleet.h"

namespace {

constexpr const char* kFooter = R"(Script, a rule a line (# comments):
  step 0.5s                                one step of every job (1s)
  save every 100 steps                     rank 0 asks to commit (never)
  steps 1000                               programs end after so many (never)
  at 10s kill-rank job=1 rank=3            once; times count from the start of this program
  at 10s hang-rank job=1 rank=3            its steps stand still
  every 30s fail 1% of workers silently    they say nothing more; their connections stay
  at 20s fail 3 workers disconnecting      back at once, ranks run on
  at 20s fail 3 workers crashing           ranks are gone; back with a new life
  at 5s slow 2% of workers by 300ms        what they send leaves so much later
With --stdin the same without their time, as lines on standard input, obeyed at once.
Example:
  muster-coordinator --state /tmp/c --listen 127.0.0.1:7070 --heartbeat-ms 1000 &
  muster-fleet --coordinator 127.0.0.1:7070 --nodes 1875 --slots 8
SIGTERM and SIGINT end it with a summary line. Every worker takes a descriptor here and one in the
coordinator (ulimit -n).)";

// As many descriptors as the workers need; false when the system does not allow them.
bool RaiseDescriptors(rlim_t needed) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) return true;
  limit.rlim_max = std::max(limit.rlim_max, needed);
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// Lines of standard input, as they come; what is no rule is told on standard error.
class Orders {
 public:
  explicit Orders(muster::fleet::Fleet* fleet) : fleet_(fleet) {}

  // Reads what is there; false at its end.
  bool Read() {
    std::array<char, 4096> bytes;
    const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count <= 0) return false;
    text_.append(bytes.data(), static_cast<size_t>(count));
    for (size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      Obey(text_.substr(0, end));
      text_.erase(0, end + 1);
    }
    return true;
  }

 private:
  void Obey(const std::string& line) {
    const auto rule = muster::fleet::ParseRule(line);
    if (rule.ok()) return fleet_->ObeyNow(*rule);
    std::fprintf(stderr, "muster-fleet: %s\n", std::string(rule.status().message()).c_str());
  }

  muster::fleet::Fleet* const fleet_;
  std::string text_;
};

// Returns when one of `signals` has come.
void WaitForSignal(const sigset_t& signals, Orders* orders) {
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
  std::array<pollfd, 2> wanted = {pollfd{signal_fd, POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0}};
  nfds_t watched = orders == nullptr ? 1 : 2;
  while (poll(wanted.data(), watched, -1) >= 0 && wanted[0].revents == 0) {
    if (watched == 2 && wanted[1].revents != 0 && !orders->Read()) watched = 1;
  }
  close(signal_fd);
}

}  // namespace

int main(int argc, char** argv) {
  muster::IgnoreLockOrder();
  muster::fleet::FleetOptions options;
  std::string script_path;
  bool from_stdin = false;
  CLI::App app{"Simulated workers that speak the real protocol to a real coordinator.",
               "muster-fleet"};
  app.footer(kFooter);
  app.add_option("--coordinator", options.coordinator, "HOST:PORT of the coordinator");
  app.add_option("--coordinator-file", options.coordinator_file,
                 "file with its address, read anew at each connection");
  app.add_option("--nodes", options.nodes, "workers")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--slots", options.slots, "slots of each")->capture_default_str();
  app.add_option("--prefix", options.prefix, "of their names; numbers follow from 1")
      ->capture_default_str();
  app.add_option("--racks", options.racks, "racks they are divided over");
  app.add_option("--pods", options.pods, "pods they are divided over");
  app.add_option("--script", script_path, "what ranks do and what goes wrong, see below");
  app.add_flag("--stdin", from_stdin, "obey rules given while it runs, see below");
  app.add_option("--seed", options.seed, "of every random choice")->capture_default_str();
  app.add_option("--seconds", options.seconds, "end after so long");
  app.add_option("--times", options.times,
                 "file for a line \"JOB ATTEMPT NODE UNIX_US\" at each start of ranks");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "muster-fleet: %s; see --help\n", error.what());
    return 2;
  }
  if (options.coordinator.empty() == options.coordinator_file.empty()) {
    std::fprintf(stderr, "muster-fleet: give --coordinator or --coordinator-file; see --help\n");
    return 2;
  }
  muster::fleet::Script script;
  if (!script_path.empty()) {
    std::ifstream file(script_path);
    std::stringstream text;
    text << file.rdbuf();
    auto parsed = muster::fleet::ParseScript(text.str());
    if (!file || !parsed.ok()) {
      std::fprintf(stderr, "muster-fleet: %s: %s\n", script_path.c_str(),
                   file ? std::string(parsed.status().message()).c_str() : "cannot be read");
      return 2;
    }
    script = *std::move(parsed);
  }
  if (!RaiseDescriptors(options.nodes + 200)) {
    std::fprintf(stderr, "muster-fleet: cannot have %u descriptors; raise ulimit -n\n",
                 options.nodes + 200);
    return 1;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  muster::fleet::Fleet fleet(std::move(options), std::move(script));
  Orders orders(&fleet);
  std::thread waiter([&] {
    WaitForSignal(signals, from_stdin ? &orders : nullptr);
    fleet.Stop();
  });
  const absl::Status ended = fleet.Run();
  pthread_kill(waiter.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  waiter.join();
  std::printf("%s\n", fleet.Summary().c_str());
  std::fflush(stdout);
  return ended.ok() ? 0 : 1;
}
