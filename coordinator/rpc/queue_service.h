// QueueService over the mailbox: checks lengths, decides nothing.
//
// Threads: gRPC's. Every method returns at once; the answer comes from the courier's thread.
#pragma once

#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/pending_replies.h"
#include "muster/v1/queue.grpc.pb.h"

namespace muster::coordinator::rpc {

class QueueService final : public v1::QueueService::CallbackService {
 public:
  QueueService(Mailbox* mailbox, PendingReplies* replies);

  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* context,
                                       const v1::ListQueuesRequest* request,
                                       v1::ListQueuesResponse* response) override;
  grpc::ServerUnaryReactor* SetQueue(grpc::CallbackServerContext* context,
                                     const v1::SetQueueRequest* request,
                                     v1::SetQueueResponse* response) override;
  grpc::ServerUnaryReactor* PauseQueue(grpc::CallbackServerContext* context,
                                       const v1::PauseQueueRequest* request,
                                       v1::PauseQueueResponse* response) override;

 private:
  Mailbox* const mailbox_;
  PendingReplies* const replies_;
};

}  // namespace muster::coordinator::rpc
