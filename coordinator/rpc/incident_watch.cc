#include "coordinator/rpc/incident_watch.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "coordinator/rpc/grpc_status.h"

namespace muster::coordinator::rpc {

std::vector<std::shared_ptr<IncidentWatch>> IncidentWatchers::All() const {
  std::vector<std::shared_ptr<IncidentWatch>> all;
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, watch] : watches_) all.push_back(watch);
  return all;
}

void IncidentWatchers::Add(const std::shared_ptr<IncidentWatch>& watch,
                           const std::vector<v1::Incident>& backlog) {
  absl::Status closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = closed_;
    if (closed.ok()) watches_.emplace(watch.get(), watch);
  }
  // Publish cannot come in between: one thread calls both.
  watch->Push(backlog, backlog.size());
  if (!closed.ok()) watch->End(closed);
}

void IncidentWatchers::Publish(const std::vector<v1::Incident>& incidents) {
  if (incidents.empty()) return;
  for (const auto& watch : All()) watch->Push(incidents);
}

void IncidentWatchers::Remove(const IncidentWatch* watch) {
  std::shared_ptr<IncidentWatch> removed;  // destroyed, if at all, without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  removed = std::move(found->second);
  watches_.erase(found);
}

void IncidentWatchers::CloseAll(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = status;
  }
  for (const auto& watch : All()) watch->End(status);
}

size_t IncidentWatchers::count() const {
  absl::MutexLock lock(&mutex_);
  return watches_.size();
}

std::shared_ptr<IncidentWatch> IncidentWatch::Make(uint64_t job_id, IncidentWatchers* watchers) {
  std::shared_ptr<IncidentWatch> watch(new IncidentWatch(job_id, watchers));
  watch->self_ = watch;
  return watch;
}

bool IncidentWatch::Wants(const v1::Incident& incident) const {
  return job_id_ == 0 ||
         std::any_of(incident.jobs().begin(), incident.jobs().end(),
                     [this](const v1::IncidentJob& job) { return job.job_id() == job_id_; });
}

void IncidentWatch::Push(const std::vector<v1::Incident>& incidents, size_t room) {
  absl::MutexLock lock(&mutex_);
  queue_max_ += room;
  for (const v1::Incident& incident : incidents) {
    if (ended_ || !Wants(incident)) continue;
    if (queue_.size() >= queue_max_) {
      EndLocked(Error(absl::StatusCode::kResourceExhausted,
                      "the watch fell {} incidents behind; watch again with from_revision {}",
                      queue_.size(), queue_.front().revision() - 1));
      return;
    }
    queue_.push_back(incident);
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }
}

void IncidentWatch::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  queue_.pop_front();
  if (ended_) return;
  if (!ok) {
    EndLocked(absl::CancelledError("the connection broke"));
    return;
  }
  if (!queue_.empty()) StartWrite(&queue_.front());
}

void IncidentWatch::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  EndLocked(status);
}

void IncidentWatch::EndLocked(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  Finish(GrpcStatus(status));
}

void IncidentWatch::OnCancel() { End(absl::CancelledError("the caller is gone")); }

void IncidentWatch::OnDone() {
  watchers_->Remove(this);
  // Destroys this, unless Push or End is inside.
  const std::shared_ptr<IncidentWatch> last = std::move(self_);
}

}  // namespace muster::coordinator::rpc
