#include "coordinator/rpc/job_service.h"

#include <utility>

#include "common/status.h"
#include "coordinator/rpc/ask_mailbox.h"
#include "coordinator/rpc/request_limits.h"
#include "spec/defaults.h"
#include "spec/validate.h"

namespace muster::coordinator::rpc {
namespace {

// A client that is not ours may leave out what has a default.
v1::JobSpec Filled(const v1::JobSpec& spec) {
  v1::JobSpec filled = spec;
  spec::FillUnset(&filled);
  return filled;
}

absl::Status CheckSpec(const v1::JobSpec& spec) {
  const size_t bytes = spec.ByteSizeLong();
  if (bytes > kJobSpecBytesMax) {
    return InvalidArgument(
        "the job's spec has {} bytes; at most {} are allowed: put large inputs "
        "into files",
        bytes, kJobSpecBytesMax);
  }
  MUSTER_RETURN_IF_ERROR(spec::ValidateJobSpec(spec));
  return spec::RequireAbsolutePaths(spec);
}

absl::Status CheckSubmit(const v1::SubmitJobRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("user", request.user(), kTextBytesMax));
  if (!request.has_spec()) {
    return InvalidArgument("submit job: the request has no spec; fill in SubmitJobRequest.spec");
  }
  return absl::OkStatus();
}

// Of a request with a reason.
template <typename Request>
absl::Status CheckTexts(const Request& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  return CheckLength("reason", request.reason(), kTextBytesMax);
}

absl::Status CheckScale(const v1::ScaleJobRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  for (const v1::Axis& axis : request.mesh()) {
    MUSTER_RETURN_IF_ERROR(CheckLength("an axis", axis.name(), kTextBytesMax));
  }
  return absl::OkStatus();
}

}  // namespace

JobService::JobService(Mailbox* mailbox, PendingReplies* replies, JobWatches* watches)
    : mailbox_(mailbox), replies_(replies), watches_(watches) {}

grpc::ServerUnaryReactor* JobService::SubmitJob(grpc::CallbackServerContext* context,
                                                const v1::SubmitJobRequest* request,
                                                v1::SubmitJobResponse* response) {
  if (const absl::Status bad = CheckSubmit(*request); !bad.ok()) return Refuse(context, bad);
  v1::SubmitJobRequest filled = *request;
  *filled.mutable_spec() = Filled(request->spec());
  if (const absl::Status bad = CheckSpec(filled.spec()); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::SubmitJob{token, std::move(filled)};
  });
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request,
                                                v1::CancelJobResponse* response) {
  if (const absl::Status bad = CheckTexts(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::CancelJob{token, *request};
  });
}

grpc::ServerUnaryReactor* JobService::ControlJob(grpc::CallbackServerContext* context,
                                                 const v1::ControlJobRequest* request,
                                                 v1::ControlJobResponse* response) {
  if (const absl::Status bad = CheckTexts(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::ControlJob{token, *request};
  });
}

grpc::ServerUnaryReactor* JobService::ScaleJob(grpc::CallbackServerContext* context,
                                               const v1::ScaleJobRequest* request,
                                               v1::ScaleJobResponse* response) {
  if (const absl::Status bad = CheckScale(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::ScaleJob{token, *request};
  });
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const v1::GetJobRequest* request,
                                             v1::GetJobResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.GetJob(*request); });
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.ListJobs(*request); });
}

grpc::ServerUnaryReactor* JobService::PlanJob(grpc::CallbackServerContext* context,
                                              const v1::PlanJobRequest* request,
                                              v1::PlanJobResponse* response) {
  v1::PlanJobRequest filled;
  *filled.mutable_spec() = Filled(request->spec());
  filled.set_user(request->user());
  if (const absl::Status bad = CheckSpec(filled.spec()); !bad.ok()) return Refuse(context, bad);
  return Ask(mailbox_, context, response,
             [filled = std::move(filled)](const core::Cluster& cluster) {
               return cluster.PlanJob(filled);
             });
}

grpc::ServerWriteReactor<v1::JobEvent>* JobService::WatchJobs(
    grpc::CallbackServerContext* /*context*/, const v1::WatchJobsRequest* request) {
  return watches_->Open(mailbox_, *request);
}

}  // namespace muster::coordinator::rpc
