// The shim's socket: one worker at a time, the newest wins.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/shim.pb.h"
#include "worker/shim/frame.h"
#include "worker/shim/loop.h"

namespace muster::worker::shim {

class WorkerLink {
 public:
  struct Events {
    std::function<void()> connected;
    std::function<void()> disconnected;
    std::function<void(const v1::WorkerToShim&)> received;
  };

  WorkerLink(Loop* loop, Events events) : loop_(loop), events_(std::move(events)) {}
  ~WorkerLink();
  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;

  // Listens on shim.sock in the folder. Errors name the path.
  absl::Status Listen(const std::string& folder);

  bool connected() const { return fd_ >= 0; }
  // The worker has read all; regular reports wait for that.
  bool idle() const { return out_.empty(); }
  // Dropped without a worker.
  void Send(const v1::ShimToWorker& message);
  // Sends what it can without waiting, then hangs up.
  void Close();

 private:
  void Accept();
  void OnReady(uint32_t events);
  void Read();
  void Write();
  void Arm();
  void HangUp(bool tell);

  Loop* loop_;
  Events events_;
  int listener_ = -1;
  int fd_ = -1;
  std::string out_;
  FrameReader reader_;
};

}  // namespace muster::worker::shim
