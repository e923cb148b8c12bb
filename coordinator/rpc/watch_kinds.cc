#include "coordinator/rpc/watch_kinds.h"

#include <algorithm>

#include "common/status.h"

namespace muster::coordinator::rpc {
namespace {

absl::Status CheckJob(const core::Cluster& cluster, uint64_t job_id) {
  if (job_id == 0) return absl::OkStatus();
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  return cluster.GetJob(request).status();
}

}  // namespace

bool JobEvents::Wants(const Request& request, const Message& event) {
  if (request.job_id() != 0 && event.job_id() != request.job_id()) return false;
  return request.progress() || event.kind() != v1::EVENT_KIND_PROGRESS;
}

bool JobEvents::MayBeDropped(const Message& event) {
  return event.kind() == v1::EVENT_KIND_PROGRESS || event.kind() == v1::EVENT_KIND_WAITING;
}

absl::StatusOr<std::vector<v1::JobEvent>> JobEvents::Backlog(const core::Cluster& cluster,
                                                             const Request& request) {
  MUSTER_RETURN_IF_ERROR(CheckJob(cluster, request.job_id()));
  if (request.from_revision() == 0) return std::vector<v1::JobEvent>();
  return cluster.EventsAfter(request.from_revision(), JobId(request.job_id()));
}

bool IncidentChanges::Wants(const Request& request, const Message& incident) {
  const auto is_it = [&](const v1::IncidentJob& job) { return job.job_id() == request.job_id(); };
  return request.job_id() == 0 ||
         std::any_of(incident.jobs().begin(), incident.jobs().end(), is_it);
}

bool IncidentChanges::MayBeDropped(const Message& /*incident*/) { return false; }

absl::StatusOr<std::vector<v1::Incident>> IncidentChanges::Backlog(const core::Cluster& cluster,
                                                                   const Request& request) {
  MUSTER_RETURN_IF_ERROR(CheckJob(cluster, request.job_id()));
  if (request.from_revision() == 0) return std::vector<v1::Incident>();
  return cluster.IncidentsAfter(request.from_revision(), JobId(request.job_id()));
}

}  // namespace muster::coordinator::rpc
