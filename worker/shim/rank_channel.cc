#include "worker/shim/rank_channel.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/shim/send_ready.h"

namespace muster::worker::shim {

RankChannel::RankChannel(Loop* loop, int fd, Received received)
    : loop_(loop), fd_(fd), received_(std::move(received)) {
  Arm();
}

RankChannel::~RankChannel() { Close(); }

void RankChannel::Close() {
  if (fd_ < 0) return;
  loop_->Unwatch(fd_);
  close(fd_);
  fd_ = -1;
}

void RankChannel::Arm() {
  const uint32_t events = EPOLLIN | (out_.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT));
  const absl::Status watched =
      loop_->Watch(fd_, events, [this](uint32_t ready) { OnReady(ready); });
  if (!watched.ok()) {
    spdlog::error("rank link: {}", std::string(watched.message()));
    Close();
  }
}

void RankChannel::OnReady(uint32_t events) {
  if (events & EPOLLOUT) Write();
  if (fd_ >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) Read();
}

void RankChannel::Read() {
  char block[65536];
  for (int turn = 0; turn < 16; ++turn) {  // then others get their turn
    const ssize_t got = recv(fd_, block, sizeof(block), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) return Close();
    in_.append(block, static_cast<size_t>(got));
  }
  size_t at = 0;
  muster_frame_header header;
  while (fd_ >= 0 && in_.size() - at >= sizeof(header)) {
    std::memcpy(&header, in_.data() + at, sizeof(header));
    if (header.version != MUSTER_LINK_VERSION || header.size > MUSTER_FRAME_BYTES_MAX) {
      spdlog::error(
          "rank link: a frame of version {} with {} bytes; the rank was built from "
          "another release",
          header.version, header.size);
      return Close();
    }
    if (in_.size() - at < sizeof(header) + header.size) break;
    std::string body = in_.substr(at + sizeof(header), header.size);
    at += sizeof(header) + header.size;
    received_(static_cast<muster_frame_type>(header.type), std::move(body));
  }
  in_.erase(0, at);
}

void RankChannel::Send(muster_frame_type type, const std::string& body) {
  if (fd_ < 0) return;
  muster_frame_header header = {};
  header.size = static_cast<uint32_t>(body.size());
  header.type = static_cast<uint16_t>(type);
  header.version = MUSTER_LINK_VERSION;
  const bool idle = out_.empty();
  out_ += BytesOf(header) + body;
  if (idle) Write();
}

void RankChannel::Write() {
  if (!SendReady(fd_, &out_)) return Close();
  Arm();
}

}  // namespace muster::worker::shim
