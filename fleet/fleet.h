// All simulated workers of one process, on one loop.
//
// Threads: Run on one; gRPC's own post into the mailbox; Stop and ObeyNow from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "fleet/sim_worker.h"

namespace muster::fleet {

struct FleetOptions {
  std::string coordinator;  // HOST:PORT
  std::string coordinator_file;
  uint32_t nodes = 1875;
  uint32_t slots = 8;
  std::string prefix = "n";
  uint32_t racks = 0;  // 0 = none
  uint32_t pods = 0;
  uint64_t seed = 1;
  double seconds = 0;  // 0 = until stopped
  std::string times;   // file: a line for every share of an attempt when its ranks run
};

class Fleet {
 public:
  Fleet(FleetOptions options, Script script);
  absl::Status Run();
  void Stop();
  void ObeyNow(const Rule& rule);
  // "1875 workers, 1870 welcomed, 5 silent; 1875 shares started; 20000 sent, ..."
  std::string Summary() const;

 private:
  void Post(std::function<void()> event);
  void Obey(Rule& rule, int64_t now_ms);
  std::string Address() const;

  const FleetOptions options_;
  const Script script_;
  std::vector<Rule> rules_;
  Counts counts_;
  std::string acknowledgements_;
  SimWorker::Host host_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  absl::Mutex mutex_;
  std::vector<std::function<void()>> mailbox_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t draws_ = 0;
};

}  // namespace muster::fleet
