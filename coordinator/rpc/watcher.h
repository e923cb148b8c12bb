// One open WatchJobs call.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/rpc/watchers.h"
#include "muster/v1/job_service.grpc.pb.h"

namespace muster::coordinator::rpc {

class Watcher final : public grpc::ServerWriteReactor<v1::JobEvent> {
 public:
  // Keeps itself alive until OnDone.
  static std::shared_ptr<Watcher> Make(const v1::WatchJobsRequest& request, Watchers* watchers);

  // Events of other jobs, and progress that was not asked for, are passed over. `backlog` may be
  // longer than the queue.
  void PushBacklog(const std::vector<v1::JobEvent>& backlog);
  void Push(const v1::JobEvent& event);
  // The first end counts.
  void End(const absl::Status& status);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  Watcher(const v1::WatchJobsRequest& request, Watchers* watchers);
  bool Wants(const v1::JobEvent& event) const;
  void EnqueueLocked(const v1::JobEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t job_id_;
  const bool progress_;
  Watchers* const watchers_;
  std::shared_ptr<Watcher> self_;

  // Held across StartWrite and Finish: see WorkerSession.
  absl::Mutex mutex_;
  std::deque<v1::JobEvent> queue_ ABSL_GUARDED_BY(mutex_);  // the front one is on its way
  size_t queue_events_max_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace muster::coordinator::rpc
