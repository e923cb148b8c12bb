// Carries out what the loop decided, in order, and nothing before it is durable.
//
// Every outcome takes its place in one line. One with records waits for them; one without waits
// for those before it; an answer to a question waits likewise. So the order the cluster decided
// in is the order the world sees, and a crash takes back nothing anybody was told.
//
// After the first journal failure nothing is delivered any more.
//
// Threads: Add from the loop; Durable from the journal's thread; delivery on its own thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace muster::coordinator::daemon {

class Courier {
 public:
  // `on_failure` is called once, from the journal's thread, with the first failure.
  explicit Courier(std::function<void(const absl::Status&)> on_failure);
  ~Courier();  // as Stop

  // `deliver` runs when `batches` appended batches are durable and all before it was delivered.
  void Add(uint64_t batches, std::function<void()> deliver);

  // One more batch is durable, or the journal has failed.
  void Durable(const absl::Status& status);

  // Waits until all that can be delivered is, then ends the thread. The journal must be flushed.
  void Stop();

  size_t waiting() const;

 private:
  struct Item {
    uint64_t batches;
    std::function<void()> deliver;
  };

  void Loop();
  bool HasWorkLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void(const absl::Status&)> on_failure_;
  mutable absl::Mutex mutex_;
  std::deque<Item> line_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster::coordinator::daemon
