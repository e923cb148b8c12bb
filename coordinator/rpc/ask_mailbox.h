// The two shapes of a unary call: a question to the cluster, and an input whose reply is awaited.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/rpc/grpc_status.h"
#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/open_call.h"
#include "coordinator/rpc/pending_replies.h"

namespace muster::coordinator::rpc {

// Answers the call with query(cluster), once everything decided before it is durable. A call whose
// deadline has passed costs nothing.
template <typename Response, typename Query>
grpc::ServerUnaryReactor* Ask(Mailbox* mailbox, grpc::CallbackServerContext* context,
                              Response* response, Query query) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto call = std::make_shared<OpenCall>(
      [reactor](const absl::Status& status) { reactor->Finish(GrpcStatus(status)); });
  const absl::Status asked = mailbox->Ask(
      [context, response, call, query = std::move(query)](const core::Cluster& cluster) {
        absl::Status status = absl::CancelledError("the caller is gone");
        if (!context->IsCancelled()) {
          absl::StatusOr<Response> result = query(cluster);
          status = result.status();
          if (result.ok()) *response = std::move(result).value();
        }
        return Answer([call, status] { call->End(status); });
      });
  if (!asked.ok()) call->End(asked);
  return reactor;
}

// Posts make_input(token) and answers the call with the reply to it.
template <typename Response, typename MakeInput>
grpc::ServerUnaryReactor* Submit(Mailbox* mailbox, PendingReplies* replies,
                                 grpc::CallbackServerContext* context, Response* response,
                                 MakeInput make_input) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const RequestToken token = replies->Expect([reactor, response](const core::Reply& reply) {
    if (const auto* found = std::get_if<Response>(&reply.response); found != nullptr) {
      *response = *found;
    }
    reactor->Finish(GrpcStatus(reply.status));
  });
  const absl::Status posted = mailbox->Post(make_input(token));
  if (!posted.ok()) {
    replies->Forget(token);
    reactor->Finish(GrpcStatus(posted));
  }
  return reactor;
}

inline grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                        const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(GrpcStatus(status));
  return reactor;
}

}  // namespace muster::coordinator::rpc
