// A call that will be ended, whatever happens: by End, or by the loss of its last owner (the
// journal failed and what was decided is not delivered any more).
//
// Threads: one at a time.
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "common/status.h"

namespace muster::coordinator::rpc {

class OpenCall {
 public:
  explicit OpenCall(std::function<void(const absl::Status&)> end) : end_(std::move(end)) {}
  ~OpenCall() {
    End(Unavailable("the coordinator stopped before it could answer; ask again when it is back"));
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  // The first end counts.
  void End(const absl::Status& status) {
    if (end_) std::exchange(end_, nullptr)(status);
  }

  // Somebody else sees to its end from here on.
  void Release() { end_ = nullptr; }

 private:
  std::function<void(const absl::Status&)> end_;
};

}  // namespace muster::coordinator::rpc
