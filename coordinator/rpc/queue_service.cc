#include "coordinator/rpc/queue_service.h"

#include "common/status.h"
#include "coordinator/rpc/ask_mailbox.h"
#include "coordinator/rpc/request_limits.h"

namespace muster::coordinator::rpc {
namespace {

absl::Status CheckSet(const v1::SetQueueRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("queue.name", request.queue().name(), kTextBytesMax));
  return CheckLength("queue.paused_reason", request.queue().paused_reason(), kTextBytesMax);
}

absl::Status CheckPause(const v1::PauseQueueRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("name", request.name(), kTextBytesMax));
  return CheckLength("reason", request.reason(), kTextBytesMax);
}

}  // namespace

QueueService::QueueService(Mailbox* mailbox, PendingReplies* replies)
    : mailbox_(mailbox), replies_(replies) {}

grpc::ServerUnaryReactor* QueueService::ListQueues(grpc::CallbackServerContext* context,
                                                   const v1::ListQueuesRequest* /*request*/,
                                                   v1::ListQueuesResponse* response) {
  return Ask(mailbox_, context, response, [](const core::Cluster& cluster) {
    return absl::StatusOr<v1::ListQueuesResponse>(cluster.ListQueues());
  });
}

grpc::ServerUnaryReactor* QueueService::SetQueue(grpc::CallbackServerContext* context,
                                                 const v1::SetQueueRequest* request,
                                                 v1::SetQueueResponse* response) {
  if (const absl::Status bad = CheckSet(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::SetQueue{token, *request};
  });
}

grpc::ServerUnaryReactor* QueueService::PauseQueue(grpc::CallbackServerContext* context,
                                                   const v1::PauseQueueRequest* request,
                                                   v1::PauseQueueResponse* response) {
  if (const absl::Status bad = CheckPause(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::PauseQueue{token, *request};
  });
}

}  // namespace muster::coordinator::rpc
