#include "coordinator/daemon/courier.h"

#include <utility>
#include <vector>

namespace muster::coordinator::daemon {

Courier::Courier(std::function<void(const absl::Status&)> on_failure)
    : on_failure_(std::move(on_failure)), thread_([this] { Loop(); }) {}

Courier::~Courier() { Stop(); }

void Courier::Add(uint64_t batches, std::function<void()> deliver) {
  absl::MutexLock lock(&mutex_);
  line_.push_back({batches, std::move(deliver)});
}

void Courier::Durable(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (failed_) return;
    if (status.ok()) {
      ++durable_;
      return;
    }
    failed_ = true;
  }
  on_failure_(status);
}

bool Courier::HasWorkLocked() const {
  return !failed_ && !line_.empty() && line_.front().batches <= durable_;
}

void Courier::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  std::deque<Item> undelivered;  // what they hold may call out: destroyed without the lock
  absl::MutexLock lock(&mutex_);
  undelivered.swap(line_);
}

size_t Courier::waiting() const {
  absl::MutexLock lock(&mutex_);
  return line_.size();
}

void Courier::Loop() {
  while (true) {
    std::vector<std::function<void()>> deliveries;
    {
      absl::MutexLock lock(&mutex_);
      const auto wake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || HasWorkLocked();
      };
      mutex_.Await(absl::Condition(&wake));
      if (!HasWorkLocked()) return;
      while (HasWorkLocked()) {
        deliveries.push_back(std::move(line_.front().deliver));
        line_.pop_front();
      }
    }
    for (const std::function<void()>& deliver : deliveries) deliver();
  }
}

}  // namespace muster::coordinator::daemon
