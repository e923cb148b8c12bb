// Callers of mutating calls who wait for the core's reply, by token.
//
// Threads: any. Callbacks run on the caller of Answer or FailAll, without a lock held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "coordinator/core/outcome.h"

namespace muster::coordinator::rpc {

class PendingReplies {
 public:
  using Callback = std::function<void(const core::Reply& reply)>;

  // `callback` is called exactly once, by Answer or FailAll, unless Forget comes first.
  RequestToken Expect(Callback callback);
  void Forget(RequestToken token);

  // A token nobody waits for is ignored (the call was forgotten).
  void Answer(const core::Reply& reply);
  void FailAll(const absl::Status& status);

 private:
  absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<RequestToken, Callback> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::coordinator::rpc
