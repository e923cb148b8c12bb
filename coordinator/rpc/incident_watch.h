// Open WatchIncidents calls. Each message is a whole incident, so a caller may see one twice and
// never misses its newest state; one that falls behind is ended with kResourceExhausted and the
// revision to resume from.
//
// Threads: any. Publish and Add must come in the order of the decisions (one courier thread).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "muster/v1/incident.grpc.pb.h"

namespace muster::coordinator::rpc {

class IncidentWatch;

class IncidentWatchers {
 public:
  explicit IncidentWatchers(size_t queue_max = 1'024) : queue_max_(queue_max) {}

  // From here on the watch gets what is published; `backlog` comes before that.
  void Add(const std::shared_ptr<IncidentWatch>& watch, const std::vector<v1::Incident>& backlog);
  void Publish(const std::vector<v1::Incident>& incidents);
  void Remove(const IncidentWatch* watch);
  void CloseAll(const absl::Status& status);

  size_t count() const;
  size_t queue_max() const { return queue_max_; }

 private:
  std::vector<std::shared_ptr<IncidentWatch>> All() const;

  const size_t queue_max_;
  mutable absl::Mutex mutex_;
  std::map<const IncidentWatch*, std::shared_ptr<IncidentWatch>> watches_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

// One open call.
class IncidentWatch final : public grpc::ServerWriteReactor<v1::Incident> {
 public:
  // Keeps itself alive until OnDone. Job 0: of all jobs.
  static std::shared_ptr<IncidentWatch> Make(uint64_t job_id, IncidentWatchers* watchers);

  // `room`: more than the queue holds otherwise, for a backlog.
  void Push(const std::vector<v1::Incident>& incidents, size_t room = 0);
  void End(const absl::Status& status);  // the first end counts

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  IncidentWatch(uint64_t job_id, IncidentWatchers* watchers)
      : job_id_(job_id), watchers_(watchers), queue_max_(watchers->queue_max()) {}
  bool Wants(const v1::Incident& incident) const;
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t job_id_;
  IncidentWatchers* const watchers_;
  std::shared_ptr<IncidentWatch> self_;

  // Held across StartWrite and Finish: see WorkerSession.
  absl::Mutex mutex_;
  std::deque<v1::Incident> queue_ ABSL_GUARDED_BY(mutex_);  // the front one is on its way
  size_t queue_max_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace muster::coordinator::rpc
