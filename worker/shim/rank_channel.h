// The shim's end of one rank's link: frames in, frames out, never blocking.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <string>

#include "rank/link_frame.h"
#include "worker/shim/loop.h"

namespace muster::worker::shim {

class RankChannel {
 public:
  using Received = std::function<void(muster_frame_type type, std::string body)>;

  // Takes the descriptor. A rank that breaks the protocol, or closes, is no longer heard.
  RankChannel(Loop* loop, int fd, Received received);
  ~RankChannel();
  RankChannel(const RankChannel&) = delete;
  RankChannel& operator=(const RankChannel&) = delete;

  // Dropped when the rank is gone.
  void Send(muster_frame_type type, const std::string& body);
  void Close();

 private:
  void OnReady(uint32_t events);
  void Read();
  void Write();
  void Arm();

  Loop* loop_;
  int fd_;
  Received received_;
  std::string in_;
  std::string out_;
};

// A fixed-size part of a frame, as bytes.
template <typename Part>
std::string BytesOf(const Part& part) {
  return std::string(reinterpret_cast<const char*>(&part), sizeof(part));
}

}  // namespace muster::worker::shim
