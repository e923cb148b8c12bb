#include "worker/daemon/shim_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "spdlog/spdlog.h"
#include "worker/shim/client.h"

namespace muster::worker::daemon {
namespace {

constexpr int64_t kLookMs = 10;        // while a shim is not connected
constexpr int64_t kStartUpMs = 3'000;  // a found shim that has not said who it is by then is dead
constexpr int64_t kUnknownMs = 300;    // it may not have recorded itself yet
constexpr size_t kReadBytes = 64 << 10;

int PidOfPeer(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : -1;
}

int OpenProcess(int pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

ShimLink::ShimLink(std::string folder, int child, int64_t now_ms, Events events)
    : folder_(std::move(folder)), child_(child), events_(std::move(events)), start_ms_(now_ms) {
  if (child_ > 0) process_ = OpenProcess(child_);
}

ShimLink::~ShimLink() {
  if (socket_ >= 0) close(socket_);
  if (process_ >= 0) close(process_);
}

void ShimLink::Send(const v1::WorkerToShim& message) {
  if (socket_ < 0) return;
  shim::AppendFrame(message, &outgoing_);
  Write();
}

void ShimLink::Turn(int64_t now_ms) {
  if (gone_) return;
  const bool dead = IsDead(now_ms);
  if (socket_ >= 0) {
    Read();  // what a dead shim said last is still there
    Write();
  }
  if (dead) {
    if (socket_ >= 0) Disconnect();
    gone_ = true;
    return events_.gone();
  }
  if (socket_ < 0 && now_ms >= next_look_ms_) MaybeConnect();
  next_look_ms_ = socket_ >= 0 ? std::numeric_limits<int64_t>::max() : now_ms + kLookMs;
  const bool silent = child_ <= 0 && socket_ < 0 && process_ < 0;
  if (silent && now_ms > start_ms_ + kStartUpMs) {
    gone_ = true;
    events_.gone();
  }
}

void ShimLink::MaybeConnect() {
  auto connected = shim::ConnectShim(folder_);
  if (!connected.ok()) return;
  socket_ = *connected;
  reader_ = {};
  outgoing_.clear();
  if (process_ < 0) process_ = OpenProcess(PidOfPeer(socket_));
  events_.connected();
  Read();
}

bool ShimLink::IsDead(int64_t now_ms) {
  if (child_ > 0) {
    int status = 0;
    const pid_t reaped = waitpid(child_, &status, WNOHANG);
    return reaped == child_ || (reaped < 0 && errno == ECHILD);
  }
  if (process_ >= 0) {  // readable once it has ended, even while nobody has reaped it
    pollfd ended{process_, POLLIN, 0};
    return poll(&ended, 1, 0) > 0;
  }
  return socket_ < 0 && now_ms > start_ms_ + kUnknownMs && !shim::ShimAlive(folder_);
}

void ShimLink::Read() {
  char bytes[kReadBytes];
  while (socket_ >= 0) {
    const ssize_t count = recv(socket_, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count <= 0) return Disconnect();
    reader_.Add(bytes, static_cast<size_t>(count));
    while (true) {
      auto frame = reader_.Next();
      v1::ShimToWorker message;
      if (!frame.ok() || (*frame && !message.ParseFromString(**frame))) {
        spdlog::error("shim {}: what it says is not our protocol; connecting again", folder_);
        return Disconnect();
      }
      if (!*frame) break;
      events_.message(std::move(message));
    }
  }
}

void ShimLink::Write() {
  while (socket_ >= 0 && !outgoing_.empty()) {
    const ssize_t count =
        send(socket_, outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      // Anything but a full buffer shows again as the end of the stream when it is read.
      if (errno != EAGAIN && errno != EWOULDBLOCK) outgoing_.clear();
      return;
    }
    outgoing_.erase(0, static_cast<size_t>(count));
  }
}

void ShimLink::Disconnect() {
  close(socket_);
  socket_ = -1;
  outgoing_.clear();
  events_.disconnected();
}

}  // namespace muster::worker::daemon
