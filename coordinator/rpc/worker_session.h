// One worker's stream, from its hello to its end.
//
// Threads: any. gRPC's callbacks post and return.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/worker_gateway.h"

namespace muster::coordinator::rpc {

class WorkerSession final
    : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  // Keeps itself alive until OnDone.
  static std::shared_ptr<WorkerSession> Make(SessionId id, std::string peer, Mailbox* mailbox,
                                             WorkerGateway* gateway,
                                             const WorkerGateway::Options& options);

  void Start() { StartRead(&incoming_); }
  void Send(v1::CoordinatorMessage message);
  // The first end counts.
  void End(const absl::Status& status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WorkerSession(SessionId id, std::string peer, Mailbox* mailbox, WorkerGateway* gateway,
                const WorkerGateway::Options& options);
  absl::Status Receive();
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SessionId id_;
  const std::string peer_;
  Mailbox* const mailbox_;
  WorkerGateway* const gateway_;
  const WorkerGateway::Options options_;
  std::shared_ptr<WorkerSession> self_;

  v1::WorkerMessage incoming_;  // the reads': one at a time
  bool said_hello_ = false;     // likewise
  std::string node_;            // likewise

  // Held across StartWrite and Finish, against the rule: gRPC runs no reaction inside them, and
  // without it a write could start on a stream that was just finished and freed.
  absl::Mutex mutex_;
  std::deque<v1::CoordinatorMessage> queue_ ABSL_GUARDED_BY(mutex_);  // the front one is on its way
  size_t queue_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster::coordinator::rpc
