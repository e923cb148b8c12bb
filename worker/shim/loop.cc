#include "worker/shim/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "common/status.h"

namespace muster::worker::shim {

int64_t MonotonicMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

int64_t UnixUs() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

Loop::~Loop() {
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

absl::Status Loop::Open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0) return ErrnoError(errno, "open the event loop");
  return Watch(wake_, EPOLLIN, [this](uint32_t) {
    uint64_t count = 0;
    const ssize_t got = read(wake_, &count, sizeof(count));
    (void)got;  // nonblocking: nothing to read is fine
  });
}

absl::Status Loop::Watch(int fd, uint32_t events, Ready ready) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  const bool known = watched_.count(fd) > 0;
  if (epoll_ctl(epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoError(errno, "watch a descriptor");
  }
  watched_[fd] = std::make_shared<Ready>(std::move(ready));
  return absl::OkStatus();
}

void Loop::Unwatch(int fd) {
  if (watched_.erase(fd) > 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::Post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  const uint64_t one = 1;
  const ssize_t written = write(wake_, &one, sizeof(one));
  (void)written;  // a full counter wakes as well
}

absl::Status Loop::RunOnce(int64_t deadline_ms) {
  const int64_t wait_ms = std::clamp<int64_t>(deadline_ms - MonotonicMs(), 0, 60000);
  epoll_event events[64];
  const int count =
      epoll_wait(epoll_, events, static_cast<int>(std::size(events)), static_cast<int>(wait_ms));
  if (count < 0 && errno != EINTR) return ErrnoError(errno, "wait for events");
  for (int i = 0; i < count; ++i) {
    const auto found = watched_.find(events[i].data.fd);
    if (found == watched_.end()) continue;  // unwatched by a callback before
    const std::shared_ptr<Ready> ready = found->second;
    (*ready)(events[i].events);
  }
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (const auto& one : work) one();
  return absl::OkStatus();
}

}  // namespace muster::worker::shim
