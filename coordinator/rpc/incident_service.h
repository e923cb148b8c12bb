// IncidentService over the mailbox: checks lengths, decides nothing.
//
// Threads: gRPC's. Every method returns at once; the answer comes from the courier's thread.
#pragma once

#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/pending_replies.h"
#include "coordinator/rpc/watches.h"
#include "muster/v1/incident.grpc.pb.h"

namespace muster::coordinator::rpc {

class IncidentService final : public v1::IncidentService::CallbackService {
 public:
  IncidentService(Mailbox* mailbox, PendingReplies* replies, IncidentWatches* watches)
      : mailbox_(mailbox), replies_(replies), watches_(watches) {}

  grpc::ServerUnaryReactor* ListIncidents(grpc::CallbackServerContext* context,
                                          const v1::ListIncidentsRequest* request,
                                          v1::ListIncidentsResponse* response) override;
  grpc::ServerUnaryReactor* GetIncident(grpc::CallbackServerContext* context,
                                        const v1::GetIncidentRequest* request,
                                        v1::GetIncidentResponse* response) override;
  grpc::ServerUnaryReactor* AckIncident(grpc::CallbackServerContext* context,
                                        const v1::AckIncidentRequest* request,
                                        v1::AckIncidentResponse* response) override;
  grpc::ServerWriteReactor<v1::Incident>* WatchIncidents(
      grpc::CallbackServerContext* context, const v1::WatchIncidentsRequest* request) override;

 private:
  Mailbox* const mailbox_;
  PendingReplies* const replies_;
  IncidentWatches* const watches_;
};

}  // namespace muster::coordinator::rpc
