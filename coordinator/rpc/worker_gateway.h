// The streams of the workers: what they say becomes inputs, what the core orders is written.
//
// One session per stream, numbered from 1. Each has a bounded queue and one write under way; a
// session whose worker does not keep up is ended with kResourceExhausted, and the worker starts
// over with a fresh hello, which loses nothing (the protocol is level-triggered).
//
// Threads: any. Send and Close of a session that has ended are ignored: the core hears of its end
//          through WorkerDisconnected.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "coordinator/rpc/mailbox.h"
#include "muster/v1/worker_gateway.grpc.pb.h"

namespace muster::coordinator::rpc {

class WorkerSession;

class WorkerGateway final : public v1::WorkerGateway::CallbackService {
 public:
  struct Options {
    size_t queue_messages_max = 1'024;
    size_t queue_bytes_max = 64 << 20;
  };

  WorkerGateway(Mailbox* mailbox, Options options);
  ~WorkerGateway() override;

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Connect(
      grpc::CallbackServerContext* context) override;

  void Send(SessionId session, v1::CoordinatorMessage message);
  void Close(SessionId session, const absl::Status& status);

  // Ends every session, and those that still come.
  void CloseAll(const absl::Status& status);

  size_t sessions() const;

 private:
  friend class WorkerSession;

  std::shared_ptr<WorkerSession> Find(SessionId session) const;
  void Remove(SessionId session);

  Mailbox* const mailbox_;
  const Options options_;
  mutable absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<SessionId, std::shared_ptr<WorkerSession>> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::coordinator::rpc
