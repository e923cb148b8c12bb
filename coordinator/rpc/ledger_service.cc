#include "coordinator/rpc/ledger_service.h"

#include "common/status.h"
#include "coordinator/rpc/ask_mailbox.h"
#include "coordinator/rpc/request_limits.h"

namespace muster::coordinator::rpc {
namespace {

absl::Status CheckRequest(const v1::GetLedgerRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("node", request.node(), kTextBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("queue", request.queue(), kTextBytesMax));
  return CheckLength("user", request.user(), kTextBytesMax);
}

}  // namespace

LedgerService::LedgerService(Mailbox* mailbox) : mailbox_(mailbox) {}

grpc::ServerUnaryReactor* LedgerService::GetLedger(grpc::CallbackServerContext* context,
                                                   const v1::GetLedgerRequest* request,
                                                   v1::GetLedgerResponse* response) {
  if (const absl::Status bad = CheckRequest(*request); !bad.ok()) return Refuse(context, bad);
  return Ask(mailbox_, context, response, [request = *request](const core::Cluster& cluster) {
    return cluster.GetLedger(request);
  });
}

}  // namespace muster::coordinator::rpc
