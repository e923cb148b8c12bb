#include "coordinator/rpc/pending_replies.h"

#include <utility>

namespace muster::coordinator::rpc {

RequestToken PendingReplies::Expect(Callback callback) {
  absl::MutexLock lock(&mutex_);
  const RequestToken token(next_++);
  waiting_.emplace(token, std::move(callback));
  return token;
}

void PendingReplies::Forget(RequestToken token) {
  absl::MutexLock lock(&mutex_);
  waiting_.erase(token);
}

void PendingReplies::Answer(const core::Reply& reply) {
  Callback callback;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = waiting_.find(reply.token);
    if (found == waiting_.end()) return;
    callback = std::move(found->second);
    waiting_.erase(found);
  }
  callback(reply);
}

void PendingReplies::FailAll(const absl::Status& status) {
  std::map<RequestToken, Callback> waiting;
  {
    absl::MutexLock lock(&mutex_);
    waiting.swap(waiting_);
  }
  core::Reply reply;
  reply.status = status;
  for (auto& [token, callback] : waiting) {
    reply.token = token;
    callback(reply);
  }
}

}  // namespace muster::coordinator::rpc
