// Open WatchJobs calls, and the events on their way to them.
//
// A watcher has a bounded queue. Progress is dropped first when it falls behind; when durable
// events no longer fit, the call ends with kResourceExhausted naming the revision to resume from.
//
// Threads: any. Publish and Add must come in the order of the decisions (one courier thread).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "muster/v1/job_service.pb.h"

namespace muster::coordinator::rpc {

class Watcher;

class Watchers {
 public:
  explicit Watchers(size_t queue_events_max = 1'024);
  ~Watchers();

  // From here on the watcher gets what is published; `backlog` comes before that.
  void Add(const std::shared_ptr<Watcher>& watcher, const std::vector<v1::JobEvent>& backlog);
  void Publish(const std::vector<v1::JobEvent>& events);
  void Remove(const Watcher* watcher);
  void CloseAll(const absl::Status& status);

  size_t count() const;
  size_t queue_events_max() const { return queue_events_max_; }

 private:
  const size_t queue_events_max_;
  mutable absl::Mutex mutex_;
  std::map<const Watcher*, std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::coordinator::rpc
