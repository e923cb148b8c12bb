#include <utility>

#include "common/status.h"
#include "coordinator/rpc/grpc_status.h"
#include "coordinator/rpc/job_service.h"
#include "coordinator/rpc/open_call.h"
#include "coordinator/rpc/watcher.h"

namespace muster::coordinator::rpc {
namespace {

// Progress and reasons for waiting come again by themselves.
bool MayBeDropped(const v1::JobEvent& event) {
  return event.kind() == v1::EVENT_KIND_PROGRESS || event.kind() == v1::EVENT_KIND_WAITING;
}

}  // namespace

std::shared_ptr<Watcher> Watcher::Make(const v1::WatchJobsRequest& request, Watchers* watchers) {
  std::shared_ptr<Watcher> watcher(new Watcher(request, watchers));
  watcher->self_ = watcher;
  return watcher;
}

Watcher::Watcher(const v1::WatchJobsRequest& request, Watchers* watchers)
    : job_id_(request.job_id()),
      progress_(request.progress()),
      watchers_(watchers),
      queue_events_max_(watchers->queue_events_max()) {}

bool Watcher::Wants(const v1::JobEvent& event) const {
  if (job_id_ != 0 && event.job_id() != job_id_) return false;
  return progress_ || event.kind() != v1::EVENT_KIND_PROGRESS;
}

void Watcher::PushBacklog(const std::vector<v1::JobEvent>& backlog) {
  absl::MutexLock lock(&mutex_);
  queue_events_max_ += backlog.size();
  for (const v1::JobEvent& event : backlog) EnqueueLocked(event);
}

void Watcher::Push(const v1::JobEvent& event) {
  absl::MutexLock lock(&mutex_);
  EnqueueLocked(event);
}

void Watcher::EnqueueLocked(const v1::JobEvent& event) {
  if (ended_ || !Wants(event)) return;
  if (MayBeDropped(event) && queue_.size() >= queue_events_max_ / 2) return;
  if (queue_.size() >= queue_events_max_) {
    // An event may be seen twice, none is missed.
    const v1::JobEvent& unsent = queue_.front();
    const uint64_t resume = MayBeDropped(unsent) ? unsent.revision() : unsent.revision() - 1;
    EndLocked(Error(absl::StatusCode::kResourceExhausted,
                    "the watch fell {} events behind; watch again with from_revision {}",
                    queue_.size(), resume));
    return;
  }
  queue_.push_back(event);
  if (queue_.size() == 1) StartWrite(&queue_.front());
}

void Watcher::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  queue_.pop_front();
  if (ended_) return;
  if (!ok) {
    EndLocked(absl::CancelledError("the connection broke"));
    return;
  }
  if (!queue_.empty()) StartWrite(&queue_.front());
}

void Watcher::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  EndLocked(status);
}

void Watcher::EndLocked(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  Finish(GrpcStatus(status));
}

void Watcher::OnCancel() { End(absl::CancelledError("the caller is gone")); }

void Watcher::OnDone() {
  watchers_->Remove(this);
  // Destroys this, unless Push or End is inside.
  const std::shared_ptr<Watcher> last = std::move(self_);
}

grpc::ServerWriteReactor<v1::JobEvent>* JobService::WatchJobs(
    grpc::CallbackServerContext* /*context*/, const v1::WatchJobsRequest* request) {
  std::shared_ptr<Watcher> watcher = Watcher::Make(*request, watchers_);
  Watcher* reactor = watcher.get();
  const auto call =
      std::make_shared<OpenCall>([watcher](const absl::Status& status) { watcher->End(status); });
  // The request does not outlive this call when the caller hangs up: the question has a copy.
  const absl::Status asked =
      mailbox_->Ask([watchers = watchers_, watcher, call,
                     request = *request](const core::Cluster& cluster) -> Answer {
        absl::StatusOr<std::vector<v1::JobEvent>> backlog = std::vector<v1::JobEvent>();
        if (request.job_id() != 0) {
          v1::GetJobRequest exists;
          exists.set_job_id(request.job_id());
          const absl::Status found = cluster.GetJob(exists).status();
          if (!found.ok()) backlog = found;
        }
        if (backlog.ok() && request.from_revision() != 0) {
          backlog = cluster.EventsAfter(request.from_revision(), JobId(request.job_id()));
        }
        return [watchers, watcher, call, backlog = std::move(backlog)] {
          if (backlog.ok()) {
            watchers->Add(watcher, *backlog);
            call->Release();
          } else {
            call->End(backlog.status());
          }
        };
      });
  if (!asked.ok()) call->End(asked);
  return reactor;
}

}  // namespace muster::coordinator::rpc
