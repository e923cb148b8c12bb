#include "coordinator/rpc/incident_service.h"

#include "common/status.h"
#include "coordinator/rpc/ask_mailbox.h"
#include "coordinator/rpc/request_limits.h"

namespace muster::coordinator::rpc {
namespace {

absl::Status CheckAck(const v1::AckIncidentRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("user", request.user(), kTextBytesMax));
  return CheckLength("note", request.note(), kTextBytesMax);
}

}  // namespace

grpc::ServerUnaryReactor* IncidentService::ListIncidents(grpc::CallbackServerContext* context,
                                                         const v1::ListIncidentsRequest* request,
                                                         v1::ListIncidentsResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.ListIncidents(*request); });
}

grpc::ServerUnaryReactor* IncidentService::GetIncident(grpc::CallbackServerContext* context,
                                                       const v1::GetIncidentRequest* request,
                                                       v1::GetIncidentResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.GetIncident(*request); });
}

grpc::ServerUnaryReactor* IncidentService::AckIncident(grpc::CallbackServerContext* context,
                                                       const v1::AckIncidentRequest* request,
                                                       v1::AckIncidentResponse* response) {
  if (const absl::Status bad = CheckAck(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::AckIncident{token, *request};
  });
}

grpc::ServerWriteReactor<v1::Incident>* IncidentService::WatchIncidents(
    grpc::CallbackServerContext* /*context*/, const v1::WatchIncidentsRequest* request) {
  return watches_->Open(mailbox_, *request);
}

}  // namespace muster::coordinator::rpc
