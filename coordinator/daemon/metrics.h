// The coordinator's own numbers, and Prometheus text of them and of the cluster.
//
// Names start with muster_ and carry their unit. Jobs that ended are counted from the records, so
// the counters survive a restart; per-job series exist only while a job is active.
//
// Threads: Count… and Set… from any; Text on the loop's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/cluster.h"

namespace muster::coordinator::daemon {

class Metrics {
 public:
  // Read when Text is made.
  struct Gauges {
    std::function<size_t()> mailbox_depth;
    std::function<size_t()> sessions;
    std::function<size_t()> watchers;
    std::function<size_t()> deliveries_waiting;
  };

  void SetGauges(Gauges gauges);

  // Every record of this cluster's life, replayed or new. Loop's thread.
  void CountRecord(const v1::Record& record);
  // A batch became durable so long after it was appended.
  void CountAppend(size_t records, absl::Duration took);
  void CountStep(absl::Duration busy);

  std::string Text(const core::Cluster& cluster) const;

 private:
  static constexpr std::array<double, 9> kBucketSeconds = {0.0005, 0.001, 0.002, 0.005, 0.01,
                                                           0.05,   0.2,   1,     5};
  Gauges gauges_;
  std::map<std::string, uint64_t> jobs_ended_;      // by state
  std::map<std::string, uint64_t> attempts_ended_;  // by outcome
  uint64_t checkpoints_committed_ = 0;
  uint64_t node_deaths_ = 0;
  std::array<std::atomic<uint64_t>, kBucketSeconds.size() + 1> append_buckets_{};
  std::atomic<uint64_t> records_{0};
  std::atomic<int64_t> append_ns_{0};
  std::atomic<uint64_t> steps_{0};
  std::atomic<int64_t> busy_ns_{0};
};

}  // namespace muster::coordinator::daemon
