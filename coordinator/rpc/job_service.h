// JobService over the mailbox: parses and validates once, decides nothing.
//
// Threads: gRPC's. Every method returns at once; the answer comes from the courier's thread.
#pragma once

#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/pending_replies.h"
#include "coordinator/rpc/watches.h"
#include "muster/v1/job_service.grpc.pb.h"

namespace muster::coordinator::rpc {

class JobService final : public v1::JobService::CallbackService {
 public:
  JobService(Mailbox* mailbox, PendingReplies* replies, JobWatches* watches);

  grpc::ServerUnaryReactor* SubmitJob(grpc::CallbackServerContext* context,
                                      const v1::SubmitJobRequest* request,
                                      v1::SubmitJobResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::CancelJobResponse* response) override;
  grpc::ServerUnaryReactor* ControlJob(grpc::CallbackServerContext* context,
                                       const v1::ControlJobRequest* request,
                                       v1::ControlJobResponse* response) override;
  grpc::ServerUnaryReactor* ScaleJob(grpc::CallbackServerContext* context,
                                     const v1::ScaleJobRequest* request,
                                     v1::ScaleJobResponse* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request,
                                   v1::GetJobResponse* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* PlanJob(grpc::CallbackServerContext* context,
                                    const v1::PlanJobRequest* request,
                                    v1::PlanJobResponse* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJobs(grpc::CallbackServerContext* context,
                                                    const v1::WatchJobsRequest* request) override;

 private:
  Mailbox* const mailbox_;
  PendingReplies* const replies_;
  JobWatches* const watches_;
};

}  // namespace muster::coordinator::rpc
