#include "worker/daemon/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/check.h"

namespace muster::worker::daemon {

Mailbox::Mailbox() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(event_ >= 0, "eventfd: errno {}", errno);
}

Mailbox::~Mailbox() { close(event_); }

void Mailbox::Post(std::function<void()> task) {
  {
    absl::MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof(one));
}

void Mailbox::RunAll() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(event_, &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
}

}  // namespace muster::worker::daemon
