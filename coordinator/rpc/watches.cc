#include "coordinator/rpc/watches.h"

#include <utility>

#include "common/status.h"
#include "coordinator/rpc/grpc_status.h"
#include "coordinator/rpc/open_call.h"

namespace muster::coordinator::rpc {

// One open call. Keeps itself alive until OnDone.
template <typename Kind>
class Watches<Kind>::Watch final : public grpc::ServerWriteReactor<Message> {
 public:
  static std::shared_ptr<Watch> Make(const Request& request, Watches* all) {
    std::shared_ptr<Watch> watch(new Watch(request, all));
    watch->self_ = watch;
    return watch;
  }

  // `backlog`: they may be more than the queue holds otherwise.
  void Push(const std::vector<Message>& messages, bool backlog) {
    absl::MutexLock lock(&mutex_);
    if (backlog) queue_max_ += messages.size();
    for (const Message& message : messages) EnqueueLocked(message);
  }

  // The first end counts.
  void End(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    EndLocked(status);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    queue_.pop_front();
    if (ended_) return;
    if (!ok) return EndLocked(absl::CancelledError("the connection broke"));
    if (!queue_.empty()) this->StartWrite(&queue_.front());
  }

  void OnCancel() override { End(absl::CancelledError("the caller is gone")); }

  void OnDone() override {
    all_->Remove(this);
    // Destroys this, unless Push or End is inside.
    const std::shared_ptr<Watch> last = std::move(self_);
  }

 private:
  Watch(const Request& request, Watches* all)
      : request_(request), all_(all), queue_max_(all->queue_max_) {}

  void EnqueueLocked(const Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_ || !Kind::Wants(request_, message)) return;
    if (Kind::MayBeDropped(message) && queue_.size() >= queue_max_ / 2) return;
    if (queue_.size() >= queue_max_) {
      const Message& unsent = queue_.front();
      const uint64_t resume = unsent.revision() - (Kind::MayBeDropped(unsent) ? 0 : 1);
      return EndLocked(Error(absl::StatusCode::kResourceExhausted,
                             "the watch fell {} {} behind; watch again with from_revision {}",
                             queue_.size(), Kind::kName, resume));
    }
    queue_.push_back(message);
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }

  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return;
    ended_ = true;
    this->Finish(GrpcStatus(status));
  }

  const Request request_;
  Watches* const all_;
  std::shared_ptr<Watch> self_;

  // Held across StartWrite and Finish: see WorkerSession.
  absl::Mutex mutex_;
  std::deque<Message> queue_ ABSL_GUARDED_BY(mutex_);  // the front one is on its way
  size_t queue_max_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Kind>
grpc::ServerWriteReactor<typename Kind::Message>* Watches<Kind>::Open(Mailbox* mailbox,
                                                                      const Request& request) {
  const std::shared_ptr<Watch> watch = Watch::Make(request, this);
  Watch* reactor = watch.get();
  const auto call =
      std::make_shared<OpenCall>([watch](const absl::Status& status) { watch->End(status); });
  // The request does not outlive this call when the caller hangs up: the question has a copy.
  const absl::Status asked =
      mailbox->Ask([this, watch, call, request](const core::Cluster& cluster) -> Answer {
        return [this, watch, call, backlog = Kind::Backlog(cluster, request)] {
          if (!backlog.ok()) return call->End(backlog.status());
          Add(watch, *backlog);
          call->Release();
        };
      });
  if (!asked.ok()) call->End(asked);
  return reactor;
}

template <typename Kind>
void Watches<Kind>::Add(const std::shared_ptr<Watch>& watch, const std::vector<Message>& backlog) {
  absl::Status closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = closed_;
    if (closed.ok()) open_.emplace(watch.get(), watch);
  }
  // Publish cannot come in between: one thread calls both.
  watch->Push(backlog, true);
  if (!closed.ok()) watch->End(closed);
}

template <typename Kind>
void Watches<Kind>::Publish(const std::vector<Message>& messages) {
  if (messages.empty()) return;
  for (const auto& watch : All()) watch->Push(messages, false);
}

template <typename Kind>
void Watches<Kind>::Remove(const Watch* watch) {
  std::shared_ptr<Watch> removed;  // destroyed, if at all, without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = open_.find(watch);
  if (found == open_.end()) return;
  removed = std::move(found->second);
  open_.erase(found);
}

template <typename Kind>
void Watches<Kind>::CloseAll(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = status;
  }
  for (const auto& watch : All()) watch->End(status);
}

template <typename Kind>
size_t Watches<Kind>::count() const {
  absl::MutexLock lock(&mutex_);
  return open_.size();
}

template <typename Kind>
std::vector<std::shared_ptr<typename Watches<Kind>::Watch>> Watches<Kind>::All() const {
  std::vector<std::shared_ptr<Watch>> all;
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, watch] : open_) all.push_back(watch);
  return all;
}

template class Watches<JobEvents>;
template class Watches<IncidentChanges>;

}  // namespace muster::coordinator::rpc
