// The shim's event loop: descriptors, and work posted from other threads.
//
// Threads: Post from any; everything else from the loop's own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"

namespace muster::worker::shim {

// CLOCK_MONOTONIC; CLOCK_REALTIME for reports.
int64_t MonotonicMs();
int64_t UnixUs();

class Loop {
 public:
  using Ready = std::function<void(uint32_t events)>;  // EPOLLIN, EPOLLOUT, ...

  Loop() = default;
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  absl::Status Open();

  // Watches a descriptor, or changes for what. A callback may unwatch any descriptor.
  absl::Status Watch(int fd, uint32_t events, Ready ready);
  void Unwatch(int fd);

  void Post(std::function<void()> work);

  // Waits at most until `deadline_ms` and runs what is due.
  absl::Status RunOnce(int64_t deadline_ms);

 private:
  int epoll_ = -1;
  int wake_ = -1;
  std::map<int, std::shared_ptr<Ready>> watched_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
};

}  // namespace muster::worker::shim
