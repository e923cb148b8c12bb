#include "coordinator/rpc/watchers.h"

#include <utility>

#include "coordinator/rpc/watcher.h"

namespace muster::coordinator::rpc {

Watchers::Watchers(size_t queue_events_max) : queue_events_max_(queue_events_max) {}

Watchers::~Watchers() = default;

void Watchers::Add(const std::shared_ptr<Watcher>& watcher,
                   const std::vector<v1::JobEvent>& backlog) {
  absl::Status closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = closed_;
    if (closed.ok()) watchers_.emplace(watcher.get(), watcher);
  }
  // Publish cannot come in between: one thread calls both.
  watcher->PushBacklog(backlog);
  if (!closed.ok()) watcher->End(closed);
}

void Watchers::Publish(const std::vector<v1::JobEvent>& events) {
  if (events.empty()) return;
  std::vector<std::shared_ptr<Watcher>> all;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, watcher] : watchers_) all.push_back(watcher);
  }
  for (const auto& watcher : all) {
    for (const v1::JobEvent& event : events) watcher->Push(event);
  }
}

void Watchers::Remove(const Watcher* watcher) {
  std::shared_ptr<Watcher> removed;  // destroyed, if at all, without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = watchers_.find(watcher);
  if (found == watchers_.end()) return;
  removed = std::move(found->second);
  watchers_.erase(found);
}

void Watchers::CloseAll(const absl::Status& status) {
  std::vector<std::shared_ptr<Watcher>> all;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = status;
    for (const auto& [key, watcher] : watchers_) all.push_back(watcher);
  }
  for (const auto& watcher : all) watcher->End(status);
}

size_t Watchers::count() const {
  absl::MutexLock lock(&mutex_);
  return watchers_.size();
}

}  // namespace muster::coordinator::rpc
