// Open watch calls of one kind (watch_kinds.h), and the messages on their way to them.
//
// A watch has a bounded queue. What may be dropped is dropped first when it falls behind; when the
// rest no longer fits, the call ends with kResourceExhausted naming the revision to resume from:
// a message may then be seen twice, none is missed.
//
// Threads: any. Publish and Add must come in the order of the decisions (one courier thread).
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/watch_kinds.h"

namespace muster::coordinator::rpc {

template <typename Kind>
class Watches {
 public:
  using Request = typename Kind::Request;
  using Message = typename Kind::Message;

  explicit Watches(size_t queue_max = 1'024) : queue_max_(queue_max) {}

  // Opens a call: what came after the revision it asks for is sent first, then what is published.
  grpc::ServerWriteReactor<Message>* Open(Mailbox* mailbox, const Request& request);
  void Publish(const std::vector<Message>& messages);
  void CloseAll(const absl::Status& status);

  size_t count() const;

 private:
  class Watch;

  void Add(const std::shared_ptr<Watch>& watch, const std::vector<Message>& backlog);
  void Remove(const Watch* watch);
  std::vector<std::shared_ptr<Watch>> All() const;

  const size_t queue_max_;
  mutable absl::Mutex mutex_;
  std::map<const Watch*, std::shared_ptr<Watch>> open_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

extern template class Watches<JobEvents>;
extern template class Watches<IncidentChanges>;
using JobWatches = Watches<JobEvents>;
using IncidentWatches = Watches<IncidentChanges>;

}  // namespace muster::coordinator::rpc
