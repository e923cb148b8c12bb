// What the worker's core is told: orders of the coordinator and observations of the node.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "muster/v1/shim.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::worker::core {

struct AttemptKey {
  JobId job;
  AttemptNumber attempt;
  auto operator<=>(const AttemptKey&) const = default;
};

// "7.2": job 7, attempt 2. Also the name of the attempt's folder.
std::string AttemptName(const AttemptKey& key);

// A folder left by an earlier life of the worker. Told before anything else; ShimConnected or
// ShimGone follows. `start` holds at least the ids; `last` is the newest report its shim wrote
// down.
struct AttemptFound {
  AttemptKey key;
  v1::StartRanks start;
  std::optional<v1::AttemptReport> last;
};

struct StreamOpened {};  // a stream to the coordinator is being opened: say hello
struct StreamClosed {};
struct FromCoordinator {
  v1::CoordinatorMessage message;
};

struct SpawnFailed {
  AttemptKey key;
  std::string error;
};
struct ShimConnected {
  AttemptKey key;
};
struct ShimDisconnected {  // the socket closed; the process lives
  AttemptKey key;
};
struct ShimGone {  // the process is dead
  AttemptKey key;
};
struct FromShim {
  AttemptKey key;
  v1::ShimToWorker message;
};
struct CleanedUp {  // no process and no leftover of the attempt is here
  AttemptKey key;
  std::optional<v1::AttemptReport> last;  // the newest report its shim wrote down
};
struct ExchangeDone {
  AttemptKey key;
  v1::ShimExchangeResult result;
};
struct TestDone {
  uint64_t test = 0;
  bool passed = false;
  std::string text;  // one line
};
struct VaultHolds {  // all jobs whose checkpoints the node's memory keeps; told again at every
                     // change
  std::vector<std::string> job_uids;
};
struct Ending {  // the worker was told to end; nothing follows
  std::string reason;
};
struct Tick {};

using Input = std::variant<AttemptFound, StreamOpened, StreamClosed, FromCoordinator, SpawnFailed,
                           ShimConnected, ShimDisconnected, ShimGone, FromShim, CleanedUp,
                           ExchangeDone, TestDone, VaultHolds, Ending, Tick>;

}  // namespace muster::worker::core
