// One simulated worker: the real core and the real stream to the coordinator, with simulated ranks.
//
// Threads: all calls from the fleet's loop. The stream's events come through `post`.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "fleet/sim_shim.h"
#include "worker/core/worker_core.h"
#include "worker/rpc/coordinator_link.h"

namespace muster::fleet {

// What all workers of a fleet count together.
struct Counts {
  uint64_t started = 0;  // attempts' shares
  uint64_t sent = 0, received = 0;
  uint64_t closed = 0;  // streams that ended
  uint64_t commits = 0;
};

class SimWorker {
 public:
  struct Host {
    const Script* script = nullptr;
    std::function<std::string()> address;  // of the coordinator, now; empty = not known
    std::function<void(std::function<void()>)> post;
    std::function<void(const worker::core::AttemptKey&, const std::string& node)> acknowledged;
    Counts* counts = nullptr;
    int64_t now_ms = 0;  // of the loop's round
  };

  SimWorker(v1::WorkerHello identity, const Host* host, double jitter);
  ~SimWorker();

  // Does what is due.
  void Run(int64_t now_ms);
  // When Run has something to do; events make it earlier.
  int64_t due_ms() const { return due_ms_; }

  void KillRank(uint64_t job, uint32_t rank, int64_t now_ms);
  void HangRank(uint64_t job, uint32_t rank, int64_t now_ms);
  void FallSilent();
  void Disconnect() { link_.Drop(); }
  void Crash(int64_t now_ms);
  void SlowDown(int64_t by_ms) { slow_ms_ = by_ms; }

  bool well() const { return !silent_; }
  bool welcomed() const { return core_.IsWelcomed(); }
  const std::string& node() const { return identity_.node(); }

 private:
  void Feed(const worker::core::Input& input, int64_t now_ms);
  void Do(worker::core::Action& action, int64_t now_ms);
  void Send(v1::WorkerMessage message, int64_t now_ms);
  int64_t NextMs() const;
  void OnMessage(v1::CoordinatorMessage message);
  void OnClosed();
  void Talk(int64_t now_ms);  // lets every shim say what it has to

  v1::WorkerHello identity_;
  const Host* host_;
  const double jitter_;
  worker::core::WorkerCore core_;
  std::map<worker::core::AttemptKey, SimShim> shims_;
  std::deque<std::pair<int64_t, v1::WorkerMessage>> delayed_;
  worker::rpc::ReconnectDelay delay_;
  int64_t due_ms_ = 0;
  int64_t open_at_ms_ = 0;
  int64_t talk_at_ms_ = 0;
  int64_t slow_ms_ = 0;
  bool open_ = false;
  bool silent_ = false;
  worker::rpc::CoordinatorLink link_;  // last: its events must find the rest
};

}  // namespace muster::fleet
