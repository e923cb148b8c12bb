// Which ranks may still write to their logs: told by the event loop, asked by log readers.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "worker/core/input.h"

namespace muster::worker::rpc {

class LiveRanks {
 public:
  void Publish(const core::AttemptKey& key, const std::vector<uint32_t>& live) {
    absl::MutexLock lock(&mutex_);
    if (live.empty()) {
      live_.erase(key);
    } else {
      live_[key] = std::set<uint32_t>(live.begin(), live.end());
    }
  }

  // An attempt nobody knows is over.
  bool IsLive(const core::AttemptKey& key, uint32_t rank) const {
    absl::MutexLock lock(&mutex_);
    const auto found = live_.find(key);
    return found != live_.end() && found->second.contains(rank);
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<core::AttemptKey, std::set<uint32_t>> live_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::worker::rpc
