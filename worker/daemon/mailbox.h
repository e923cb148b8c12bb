// What other threads want done on the event loop's thread.
//
// Threads: Post from any; the rest from the loop's. What is posted after the loop has ended is
//          never run.
#pragma once

#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace muster::worker::daemon {

class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void Post(std::function<void()> task);
  int fd() const { return event_; }  // readable when there is something
  void RunAll();

 private:
  int event_;
  absl::Mutex mutex_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::worker::daemon
