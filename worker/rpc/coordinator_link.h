// The worker's end of its stream to the coordinator.
//
// One stream at a time: Open, then any number of Send, until `closed` is told. Writes are queued
// and leave one by one. A stream that says nothing at all for 2 s (keepalive) counts as broken.
//
// Threads: Open, Send, Drop, Finish and Stop from one thread. The events are told on gRPC's
// threads: post
//          them and return.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::worker::rpc {

class CoordinatorLink {
 public:
  struct Events {
    std::function<void(v1::CoordinatorMessage)> message;
    std::function<void(absl::Status)> closed;  // once for every Open; Send is lost from here on
  };

  explicit CoordinatorLink(Events events);
  ~CoordinatorLink();  // Stop
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  // A new connection, also if the address is the old one. Only after `closed` of the one before.
  void Open(const std::string& address);
  void Send(v1::WorkerMessage message);
  void Drop();  // `closed` follows
  // Sends what waits and closes the stream in order; returns when the coordinator has closed it
  // too, or when the time is up. `closed` follows.
  void Finish(absl::Duration limit);
  void Stop();  // drops, and returns when no event will be told any more

 private:
  class Stream;
  Events events_;
  std::shared_ptr<Stream> stream_;
};

// "host:port", or the first line of a file that is read anew at each attempt, for a coordinator
// that comes back elsewhere.
class CoordinatorAddress {
 public:
  static CoordinatorAddress Fixed(std::string address) { return {std::move(address), ""}; }
  static CoordinatorAddress FromFile(std::string path) { return {"", std::move(path)}; }

  absl::StatusOr<std::string> Read() const;

 private:
  CoordinatorAddress(std::string address, std::string path)
      : address_(std::move(address)), path_(std::move(path)) {}
  std::string address_;
  std::string path_;
};

// How long to wait before the next attempt: 50 ms, doubled up to 2 s, plus a random share of the
// jitter the coordinator asked for, so that a thousand workers do not come back at once.
//
// `random` is uniform in [0, 1).
class ReconnectDelay {
 public:
  int64_t NextMs(uint32_t jitter_ms, double random);
  void Reset() { failures_ = 0; }

 private:
  int failures_ = 0;
};

}  // namespace muster::worker::rpc
