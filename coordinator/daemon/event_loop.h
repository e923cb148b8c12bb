// The one thread that owns the Cluster: takes letters, steps, appends, hands over to the courier.
//
// It runs on while the journal syncs. Ticks come every `tick_interval` and right after anything
// that changed the cluster. After a stall (the process was stopped, the disk hung) ticks wait a
// moment, so that workers whose heartbeats lie unread in sockets are not taken for dead.
//
// Time: wall time at the start plus the monotonic clock, so it never goes back or jumps.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/cluster.h"
#include "coordinator/daemon/courier.h"
#include "coordinator/daemon/metrics.h"
#include "coordinator/journal/journal.h"
#include "coordinator/rpc/mailbox.h"

namespace muster::coordinator::daemon {

class EventLoop {
 public:
  // Called from the courier's thread.
  using Deliver = std::function<void(const core::Outcome& outcome)>;

  EventLoop(core::Cluster cluster, journal::Journal* journal, rpc::Mailbox* mailbox,
            Courier* courier, Metrics* metrics, Deliver deliver);
  ~EventLoop();

  // First act of every coordinator: the new epoch is durable when this returns OK. Then the loop
  // thread starts.
  absl::Status Start(const std::string& cluster_id, uint64_t nonce);

  // Returns when the mailbox was closed, everything in it is stepped, and the journal is flushed.
  absl::Status Join();

 private:
  void Run();
  void Step(const core::Input& input);
  void Take(rpc::Letter letter);
  absl::Time Now() const;

  core::Cluster cluster_;
  journal::Journal* const journal_;
  rpc::Mailbox* const mailbox_;
  Courier* const courier_;
  Metrics* const metrics_;
  const Deliver deliver_;
  const absl::Time wall_start_;
  const int64_t monotonic_start_ns_;
  uint64_t batches_appended_ = 0;
  bool changed_ = false;  // since the last tick
  std::thread thread_;
};

}  // namespace muster::coordinator::daemon
