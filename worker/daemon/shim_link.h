// The worker's side of one shim: its process and its socket.
//
// A shim is gone when its process is dead; a closed socket alone only means: connect again.
//
// Threads: none. Polled by the event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "muster/v1/shim.pb.h"
#include "worker/shim/frame.h"

namespace muster::worker::daemon {

class ShimLink {
 public:
  struct Events {
    std::function<void()> connected;
    std::function<void()> disconnected;
    std::function<void(v1::ShimToWorker)> message;
    std::function<void()> gone;  // the last one
  };

  // A shim of an earlier life, or one just spawned with this pid (a child of ours).
  ShimLink(std::string folder, int child, int64_t now_ms, Events events);
  ~ShimLink();
  ShimLink(const ShimLink&) = delete;
  ShimLink& operator=(const ShimLink&) = delete;

  void Send(const v1::WorkerToShim& message);  // lost when not connected

  // Connects, reads, writes, looks at the process: as far as it goes without waiting.
  void Turn(int64_t now_ms);

  int fd() const { return socket_; }           // -1 = not connected
  int process_fd() const { return process_; }  // -1 = not known; readable when it is dead
  bool wants_write() const { return !outgoing_.empty(); }
  bool gone() const { return gone_; }
  int64_t wake_at_ms() const { return next_look_ms_; }  // when Turn is due though no fd is ready

 private:
  void MaybeConnect();
  void Read();
  void Write();
  void Disconnect();
  bool IsDead(int64_t now_ms);

  const std::string folder_;
  const int child_;
  const Events events_;
  const int64_t start_ms_;
  int socket_ = -1;
  int process_ = -1;
  int64_t next_look_ms_ = 0;
  bool gone_ = false;
  std::string outgoing_;
  shim::FrameReader reader_;
};

}  // namespace muster::worker::daemon
