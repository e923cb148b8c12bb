// muster-shim: keeps one attempt's ranks on one node. Started by muster-worker, not by hand.
#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "worker/shim/folder.h"
#include "worker/shim/shim.h"

namespace muster::worker::shim {
namespace {

// From here on nothing of the worker's is held: its terminal, its folder, its log.
void Detach(const std::string& folder) {
  setsid();  // fails when the worker did it
  umask(022);
  const int null = open("/dev/null", O_RDWR);
  const int log = open((folder + "/" + kLogFile).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null >= 0) dup2(null, 0);
  dup2(log >= 0 ? log : null, 1);
  dup2(log >= 0 ? log : null, 2);
  if (null > 2) close(null);
  if (log > 2) close(log);
  if (chdir(folder.c_str()) != 0) std::perror("enter the attempt's folder");
}

void BlockSignals() {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPIPE}) sigaddset(&blocked, signal);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
}

absl::StatusOr<launch::Launch> ReadOrder(const std::string& folder) {
  const std::string path = folder + "/" + kOrderFile;
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  v1::ShimOrder order;
  if (!order.ParseFromString(bytes)) {
    return DataLoss("{}: not an order; muster-worker writes it, of the same release", path);
  }
  return launch::OpenOrder(std::move(order));
}

absl::Status RunIn(const std::string& folder) {
  MUSTER_ASSIGN_OR_RETURN(launch::Launch launch, ReadOrder(folder));
  // A thread's death is what ranks are bound to: this one lives as long as the process.
  Shim shim(folder, std::move(launch));
  return shim.Run();
}

int Main(int count, char** arguments) {
  if (count != 3 || std::strcmp(arguments[1], "--dir") != 0) {
    const bool help = count == 2 && std::strcmp(arguments[1], "--help") == 0;
    std::fprintf(help ? stdout : stderr,
                 "usage: muster-shim --dir FOLDER\n"
                 "Keeps the ranks of one attempt on this node, as FOLDER/order.pb says.\n"
                 "muster-worker starts it.\n");
    return help ? 0 : 2;
  }
  char folder[PATH_MAX];
  if (realpath(arguments[2], folder) == nullptr) {
    std::fprintf(stderr, "muster-shim: %s: %s\n", arguments[2], std::strerror(errno));
    return 2;
  }
  BlockSignals();
  Detach(folder);
  const absl::Status log = SetUpLog("muster-shim", "info");
  absl::Status status = log.ok() ? RunIn(folder) : log;
  if (!status.ok()) spdlog::error("{}", std::string(status.message()));
  spdlog::shutdown();
  // PMIx's thread may be inside a callback; its exit handlers would wait for it.
  _exit(status.ok() ? 0 : 1);
}

}  // namespace
}  // namespace muster::worker::shim

int main(int count, char** arguments) { return muster::worker::shim::Main(count, arguments); }
