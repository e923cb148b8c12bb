// The coordinator and the workers, as function calls.
//
// Every call has a deadline. Calls that change something carry a request_id, so a call that broke
// off (kUnavailable) is tried again for a few seconds without doing anything twice.
//
// Threads: calls may come from several. Errors: canonical codes with the coordinator's own message;
// kUnavailable names the address and what to do.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "muster/v1/cluster_service.pb.h"
#include "muster/v1/incident.pb.h"
#include "muster/v1/job_service.pb.h"
#include "muster/v1/ledger.pb.h"
#include "muster/v1/peer.pb.h"
#include "muster/v1/queue.pb.h"

namespace muster::cli {

// Where the coordinator is. Asked again for every new connection, as a restarted one may be found
// elsewhere.
using Resolver = std::function<absl::StatusOr<std::string>()>;

class Client {
 public:
  Client(Resolver resolver, absl::Duration deadline);
  ~Client();

  // Fills in a request_id where the request has an empty one.
  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(v1::SubmitJobRequest request);
  absl::StatusOr<v1::CancelJobResponse> CancelJob(v1::CancelJobRequest request);
  absl::StatusOr<v1::ControlJobResponse> ControlJob(v1::ControlJobRequest request);
  absl::StatusOr<v1::ScaleJobResponse> ScaleJob(v1::ScaleJobRequest request);
  absl::StatusOr<v1::SetQueueResponse> SetQueue(v1::SetQueueRequest request);
  absl::StatusOr<v1::PauseQueueResponse> PauseQueue(v1::PauseQueueRequest request);
  absl::StatusOr<v1::SetNodeAdmissionResponse> SetNodeAdmission(
      v1::SetNodeAdmissionRequest request);
  absl::StatusOr<v1::SetNodeQuarantineResponse> SetNodeQuarantine(
      v1::SetNodeQuarantineRequest request);
  absl::StatusOr<v1::TestNodeResponse> TestNode(v1::TestNodeRequest request);

  absl::StatusOr<v1::AckIncidentResponse> AckIncident(v1::AckIncidentRequest request);
  absl::StatusOr<v1::Incident> GetIncident(uint64_t id);
  absl::StatusOr<v1::ListIncidentsResponse> ListIncidents(
      v1::ListIncidentsRequest request);  // all pages

  // By id if `reference` is a number, else by name.
  absl::StatusOr<v1::Job> GetJob(const std::string& reference);
  absl::StatusOr<v1::PlanJobResponse> PlanJob(const v1::PlanJobRequest& request);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(v1::ListJobsRequest request);  // all pages
  absl::StatusOr<v1::ListQueuesResponse> ListQueues();
  absl::StatusOr<v1::ListNodesResponse> ListNodes();  // all pages
  absl::StatusOr<v1::GetNodeResponse> GetNode(const v1::GetNodeRequest& request);
  absl::StatusOr<v1::GetClusterResponse> GetCluster();
  absl::StatusOr<v1::GetLedgerResponse> GetLedger(const v1::GetLedgerRequest& request);
  absl::StatusOr<v1::GetMetricsResponse> GetMetrics();
  absl::StatusOr<v1::BackupStateResponse> BackupState(const std::string& path);

  // Hands on events until `on_event` returns false (then OK) or the stream ends. No retry.
  absl::Status WatchJobs(const v1::WatchJobsRequest& request,
                         const std::function<bool(const v1::JobEvent&)>& on_event);

  // From the worker at `peer_address`; no deadline while following.
  absl::Status ReadLog(const std::string& peer_address, const v1::ReadLogRequest& request,
                       const std::function<void(const v1::ReadLogResponse&)>& on_bytes);

 private:
  struct Connection;
  template <typename Request, typename Response, typename Method>
  absl::StatusOr<Response> Call(const Request& request, Method method);
  absl::StatusOr<std::shared_ptr<Connection>> Connect();

  const Resolver resolver_;
  const absl::Duration deadline_;
  struct State;
  std::unique_ptr<State> state_;
};

// 128 random bits in hex: a new request_id.
std::string NewRequestId();

}  // namespace muster::cli
