// The one way into the event loop: inputs and questions, in the order they were posted.
//
// A question is run by the loop between two Steps, where the cluster stands still; what it returns
// is called later, when everything decided before the question is durable. So no caller is ever
// told of a decision that a crash could undo.
//
// Threads: any, except Take, which belongs to the loop.
// Errors:  kResourceExhausted when full (the caller may try again), kUnavailable when closed.
#pragma once

#include <cstddef>
#include <functional>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/core/cluster.h"
#include "coordinator/core/input.h"

namespace muster::coordinator::rpc {

using Answer = std::function<void()>;  // delivers; runs on the courier's thread
using Question = std::function<Answer(const core::Cluster& cluster)>;
using Letter = std::variant<core::Input, Question>;

class Mailbox {
 public:
  explicit Mailbox(size_t capacity);

  absl::Status Post(core::Input input);
  absl::Status Ask(Question question);

  // For what must not get lost, such as the end of a session: takes no notice of the capacity.
  void PostAlways(core::Input input);

  // Everything posted so far; waits until there is something, `timeout` passes or Close is called.
  std::vector<Letter> Take(absl::Duration timeout);

  // Nothing more gets in. Take still hands out what is inside.
  void Close();
  bool closed() const;
  size_t depth() const;

 private:
  absl::Status Add(Letter letter, bool always);

  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::vector<Letter> letters_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace muster::coordinator::rpc
