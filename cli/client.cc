#include "cli/client.h"

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <random>

#include "absl/time/clock.h"
#include "common/duration.h"
#include "common/status.h"
#include "muster/v1/cluster_service.grpc.pb.h"
#include "muster/v1/incident.grpc.pb.h"
#include "muster/v1/job_service.grpc.pb.h"
#include "muster/v1/ledger.grpc.pb.h"
#include "muster/v1/peer.grpc.pb.h"
#include "muster/v1/queue.grpc.pb.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kRetryFor = absl::Seconds(5);
constexpr absl::Duration kRetryPause = absl::Milliseconds(20);
constexpr absl::Duration kReconnect = absl::Milliseconds(200);
constexpr int kMessageBytesMax = 64 << 20;

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // A proxy set for the web must not swallow the cluster's own calls.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// gRPC makes a connection only while somebody waits on the channel; left alone it looks every 5 s.
void PauseBeforeRetry(grpc::Channel& channel, absl::Time until) {
  absl::SleepFor(kRetryPause);
  channel.WaitForConnected(absl::ToChronoTime(std::min(until, absl::Now() + kReconnect)));
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.size() < 20 &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::string NewRequestId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

struct Client::Connection {
  explicit Connection(const std::string& where)
      : address(where),
        channel(NewChannel(where)),
        jobs(v1::JobService::NewStub(channel)),
        cluster(v1::ClusterService::NewStub(channel)),
        queues(v1::QueueService::NewStub(channel)),
        ledger(v1::LedgerService::NewStub(channel)),
        incidents(v1::IncidentService::NewStub(channel)) {}

  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::JobService::Stub> jobs;
  std::unique_ptr<v1::ClusterService::Stub> cluster;
  std::unique_ptr<v1::QueueService::Stub> queues;
  std::unique_ptr<v1::LedgerService::Stub> ledger;
  std::unique_ptr<v1::IncidentService::Stub> incidents;
};

struct Client::State {
  std::mutex mutex;
  std::shared_ptr<Connection> connection;
};

Client::Client(Resolver resolver, absl::Duration deadline)
    : resolver_(std::move(resolver)), deadline_(deadline), state_(std::make_unique<State>()) {}

Client::~Client() = default;

absl::StatusOr<std::shared_ptr<Client::Connection>> Client::Connect() {
  MUSTER_ASSIGN_OR_RETURN(const std::string address, resolver_());
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->connection == nullptr || state_->connection->address != address) {
    state_->connection = std::make_shared<Connection>(address);
  }
  return state_->connection;
}

template <typename Request, typename Response, typename Method>
absl::StatusOr<Response> Client::Call(const Request& request, Method method) {
  const absl::Time start = absl::Now();
  const absl::Time retry_until = start + std::min(kRetryFor, deadline_);
  std::string unreachable;  // why, when no try so far got through
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const std::shared_ptr<Connection> connection, Connect());
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(start + deadline_));
    Response response;
    const grpc::Status status = method(*connection, &context, request, &response);
    if (status.ok()) return response;
    const bool late = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE || (late && !unreachable.empty())) {
      if (!late) {
        unreachable = status.error_message().empty() ? "no connection" : status.error_message();
      }
      if (!late && absl::Now() + kRetryPause < retry_until) {
        PauseBeforeRetry(*connection->channel, retry_until);
        continue;
      }
      return Unavailable(
          "cannot reach the coordinator at {} ({}); start it (muster dev up), or say where it is "
          "with --coordinator HOST:PORT",
          connection->address, unreachable);
    }
    if (late) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "no answer from the coordinator at {} within {}; try again, or give more time "
                   "with --deadline",
                   connection->address, DurationText(deadline_));
    }
    return FromGrpc(status);
  }
}

absl::StatusOr<v1::SubmitJobResponse> Client::SubmitJob(v1::SubmitJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::SubmitJobRequest, v1::SubmitJobResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.jobs->SubmitJob(context, in, out);
      });
}

absl::StatusOr<v1::CancelJobResponse> Client::CancelJob(v1::CancelJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::CancelJobRequest, v1::CancelJobResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.jobs->CancelJob(context, in, out);
      });
}

absl::StatusOr<v1::ControlJobResponse> Client::ControlJob(v1::ControlJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::ControlJobRequest, v1::ControlJobResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.jobs->ControlJob(context, in, out);
      });
}

absl::StatusOr<v1::ScaleJobResponse> Client::ScaleJob(v1::ScaleJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::ScaleJobRequest, v1::ScaleJobResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.jobs->ScaleJob(context, in, out);
      });
}

absl::StatusOr<v1::SetQueueResponse> Client::SetQueue(v1::SetQueueRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::SetQueueRequest, v1::SetQueueResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.queues->SetQueue(context, in, out);
      });
}

absl::StatusOr<v1::PauseQueueResponse> Client::PauseQueue(v1::PauseQueueRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::PauseQueueRequest, v1::PauseQueueResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.queues->PauseQueue(context, in, out);
      });
}

absl::StatusOr<v1::ListQueuesResponse> Client::ListQueues() {
  return Call<v1::ListQueuesRequest, v1::ListQueuesResponse>(
      {}, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.queues->ListQueues(context, in, out);
      });
}

absl::StatusOr<v1::SetNodeAdmissionResponse> Client::SetNodeAdmission(
    v1::SetNodeAdmissionRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::SetNodeAdmissionRequest, v1::SetNodeAdmissionResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->SetNodeAdmission(context, in, out);
      });
}

absl::StatusOr<v1::AckIncidentResponse> Client::AckIncident(v1::AckIncidentRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::AckIncidentRequest, v1::AckIncidentResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.incidents->AckIncident(context, in, out);
      });
}

absl::StatusOr<v1::Incident> Client::GetIncident(uint64_t id) {
  v1::GetIncidentRequest request;
  request.set_incident_id(id);
  MUSTER_ASSIGN_OR_RETURN(
      v1::GetIncidentResponse response,
      (Call<v1::GetIncidentRequest, v1::GetIncidentResponse>(
          request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
            return to.incidents->GetIncident(context, in, out);
          })));
  return std::move(*response.mutable_incident());
}

absl::StatusOr<v1::ListIncidentsResponse> Client::ListIncidents(v1::ListIncidentsRequest request) {
  v1::ListIncidentsResponse all;
  do {
    MUSTER_ASSIGN_OR_RETURN(
        v1::ListIncidentsResponse page,
        (Call<v1::ListIncidentsRequest, v1::ListIncidentsResponse>(
            request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
              return to.incidents->ListIncidents(context, in, out);
            })));
    if (all.revision() == 0) all.set_revision(page.revision());
    for (v1::Incident& one : *page.mutable_incidents()) *all.add_incidents() = std::move(one);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::SetNodeQuarantineResponse> Client::SetNodeQuarantine(
    v1::SetNodeQuarantineRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::SetNodeQuarantineRequest, v1::SetNodeQuarantineResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->SetNodeQuarantine(context, in, out);
      });
}

absl::StatusOr<v1::TestNodeResponse> Client::TestNode(v1::TestNodeRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call<v1::TestNodeRequest, v1::TestNodeResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->TestNode(context, in, out);
      });
}

absl::StatusOr<v1::GetNodeResponse> Client::GetNode(const v1::GetNodeRequest& request) {
  return Call<v1::GetNodeRequest, v1::GetNodeResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->GetNode(context, in, out);
      });
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& reference) {
  v1::GetJobRequest request;
  if (IsNumber(reference)) {
    request.set_job_id(std::stoull(reference));
  } else {
    request.set_name(reference);
  }
  MUSTER_ASSIGN_OR_RETURN(
      v1::GetJobResponse response,
      (Call<v1::GetJobRequest, v1::GetJobResponse>(
          request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
            return to.jobs->GetJob(context, in, out);
          })));
  return std::move(*response.mutable_job());
}

absl::StatusOr<v1::PlanJobResponse> Client::PlanJob(const v1::PlanJobRequest& request) {
  return Call<v1::PlanJobRequest, v1::PlanJobResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.jobs->PlanJob(context, in, out);
      });
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(v1::ListJobsRequest request) {
  v1::ListJobsResponse all;
  do {
    MUSTER_ASSIGN_OR_RETURN(
        v1::ListJobsResponse page,
        (Call<v1::ListJobsRequest, v1::ListJobsResponse>(
            request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
              return to.jobs->ListJobs(context, in, out);
            })));
    if (all.revision() == 0) all.set_revision(page.revision());
    for (v1::Job& job : *page.mutable_jobs()) *all.add_jobs() = std::move(job);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::ListNodesResponse> Client::ListNodes() {
  v1::ListNodesResponse all;
  v1::ListNodesRequest request;
  do {
    MUSTER_ASSIGN_OR_RETURN(
        v1::ListNodesResponse page,
        (Call<v1::ListNodesRequest, v1::ListNodesResponse>(
            request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
              return to.cluster->ListNodes(context, in, out);
            })));
    for (v1::Node& node : *page.mutable_nodes()) *all.add_nodes() = std::move(node);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::GetClusterResponse> Client::GetCluster() {
  return Call<v1::GetClusterRequest, v1::GetClusterResponse>(
      {}, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->GetCluster(context, in, out);
      });
}

absl::StatusOr<v1::GetLedgerResponse> Client::GetLedger(const v1::GetLedgerRequest& request) {
  return Call<v1::GetLedgerRequest, v1::GetLedgerResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.ledger->GetLedger(context, in, out);
      });
}

absl::StatusOr<v1::GetMetricsResponse> Client::GetMetrics() {
  return Call<v1::GetMetricsRequest, v1::GetMetricsResponse>(
      {}, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->GetMetrics(context, in, out);
      });
}

absl::StatusOr<v1::BackupStateResponse> Client::BackupState(const std::string& path) {
  v1::BackupStateRequest request;
  request.set_path(path);
  return Call<v1::BackupStateRequest, v1::BackupStateResponse>(
      request, [](Connection& to, grpc::ClientContext* context, const auto& in, auto* out) {
        return to.cluster->BackupState(context, in, out);
      });
}

absl::Status Client::WatchJobs(const v1::WatchJobsRequest& request,
                               const std::function<bool(const v1::JobEvent&)>& on_event) {
  MUSTER_ASSIGN_OR_RETURN(const std::shared_ptr<Connection> connection, Connect());
  grpc::ClientContext context;  // lives as long as the job does: keepalive notices a dead peer
  const auto stream = connection->jobs->WatchJobs(&context, request);
  v1::JobEvent event;
  while (stream->Read(&event)) {
    if (!on_event(event)) {
      context.TryCancel();
      while (stream->Read(&event)) {
      }
      stream->Finish();
      return absl::OkStatus();
    }
  }
  return FromGrpc(stream->Finish());
}

absl::Status Client::ReadLog(const std::string& peer_address, const v1::ReadLogRequest& request,
                             const std::function<void(const v1::ReadLogResponse&)>& on_bytes) {
  const auto stub = v1::Peer::NewStub(NewChannel(peer_address));
  grpc::ClientContext context;
  if (!request.follow()) context.set_deadline(absl::ToChronoTime(absl::Now() + deadline_));
  const auto stream = stub->ReadLog(&context, request);
  v1::ReadLogResponse response;
  while (stream->Read(&response)) on_bytes(response);
  return FromGrpc(stream->Finish());
}

}  // namespace muster::cli
