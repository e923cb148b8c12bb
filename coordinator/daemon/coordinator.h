// A whole coordinator in one object: state folder, journal, loop, services, server.
//
// Threads: Start, Wait and the destructor from one thread; Stop from any.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/cluster.h"

namespace muster::coordinator::daemon {

struct CoordinatorOptions {
  std::string listen = "127.0.0.1:7070";  // port 0 takes any free one
  std::string state_path;
  std::string metrics_listen;  // host:port of plain HTTP /metrics; empty = none
  bool repair_by_truncation = false;
  core::Options core;
};

class Coordinator {
 public:
  // Serving when it returns OK.
  // Errors: kFailedPrecondition (state folder in use), kDataLoss (journal damaged), kUnavailable
  // (port in use). One line each: what, where, what to do.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(const CoordinatorOptions& options);
  ~Coordinator();

  const std::string& address() const;
  const std::string& metrics_address() const;  // empty = none

  // Returns OK after Stop, or the failure that makes going on unsafe (journal). Everything is
  // closed then; ranks run on.
  absl::Status Wait();
  void Stop();

 private:
  struct Parts;
  explicit Coordinator(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace muster::coordinator::daemon
