#include "coordinator/rpc/mailbox.h"

#include <utility>

#include "common/status.h"

namespace muster::coordinator::rpc {

Mailbox::Mailbox(size_t capacity) : capacity_(capacity) {}

absl::Status Mailbox::Add(Letter letter, bool always) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return Unavailable("the coordinator is stopping; try again when it is back");
  if (!always && letters_.size() >= capacity_) {
    return Error(absl::StatusCode::kResourceExhausted,
                 "the coordinator is overloaded: {} requests wait; try again in a moment with the "
                 "same request_id",
                 letters_.size());
  }
  letters_.push_back(std::move(letter));
  return absl::OkStatus();
}

absl::Status Mailbox::Post(core::Input input) { return Add(std::move(input), false); }

absl::Status Mailbox::Ask(Question question) { return Add(std::move(question), false); }

void Mailbox::PostAlways(core::Input input) {
  // A closed mailbox is the one reason to fail, and then nobody is left to care.
  (void)Add(std::move(input), true);
}

std::vector<Letter> Mailbox::Take(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !letters_.empty() || closed_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&something), timeout);
  return std::exchange(letters_, {});
}

void Mailbox::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

bool Mailbox::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

size_t Mailbox::depth() const {
  absl::MutexLock lock(&mutex_);
  return letters_.size();
}

}  // namespace muster::coordinator::rpc
