#include "worker/shim/worker_link.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/status.h"
#include "worker/shim/folder.h"
#include "worker/shim/send_ready.h"

namespace muster::worker::shim {

WorkerLink::~WorkerLink() {
  Close();
  if (listener_ >= 0) {
    loop_->Unwatch(listener_);
    close(listener_);
  }
}

absl::Status WorkerLink::Listen(const std::string& folder) {
  const std::string path = folder + "/" + kSocketFile;
  const int dir = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return ErrnoError(errno, "open " + folder);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir,
                kSocketFile);
  const bool bound =
      listener_ >= 0 &&
      bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      listen(listener_, 8) == 0;
  const int error = errno;
  close(dir);
  if (!bound) return ErrnoError(error, "listen on " + path);
  return loop_->Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); });
}

void WorkerLink::Accept() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  HangUp(false);
  fd_ = fd;
  reader_ = FrameReader();
  Arm();
  if (fd_ >= 0) events_.connected();
}

void WorkerLink::Arm() {
  const uint32_t events = EPOLLIN | (out_.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT));
  const absl::Status watched =
      loop_->Watch(fd_, events, [this](uint32_t ready) { OnReady(ready); });
  if (!watched.ok()) {
    spdlog::error("worker link: {}", std::string(watched.message()));
    HangUp(true);
  }
}

void WorkerLink::OnReady(uint32_t events) {
  if (events & EPOLLOUT) Write();
  if (fd_ >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) Read();
}

void WorkerLink::Read() {
  char block[65536];
  bool ended = false;
  for (int turn = 0; turn < 16; ++turn) {
    const ssize_t got = recv(fd_, block, sizeof(block), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      ended = true;
      break;
    }
    reader_.Add(block, static_cast<size_t>(got));
  }
  const int fd = fd_;
  while (fd_ == fd) {
    absl::StatusOr<std::optional<std::string>> frame = reader_.Next();
    if (frame.ok() && !frame->has_value()) break;
    v1::WorkerToShim message;
    if (!frame.ok() || !message.ParseFromString(**frame)) {
      spdlog::error("worker link: not a message; hanging up on this worker");
      ended = true;
      break;
    }
    events_.received(message);
  }
  if (ended && fd_ == fd) HangUp(true);
}

void WorkerLink::Send(const v1::ShimToWorker& message) {
  if (fd_ < 0) return;
  const bool was_idle = out_.empty();
  AppendFrame(message, &out_);
  if (was_idle) Write();
}

void WorkerLink::Write() {
  // The end of a broken stream is found by Read, after what the worker said last.
  if (!SendReady(fd_, &out_)) out_.clear();
  Arm();
}

void WorkerLink::HangUp(bool tell) {
  if (fd_ < 0) return;
  loop_->Unwatch(fd_);
  close(fd_);
  fd_ = -1;
  out_.clear();
  if (tell) events_.disconnected();
}

void WorkerLink::Close() { HangUp(false); }

}  // namespace muster::worker::shim
