// What can be watched: the kinds of watches.h.
//
// A kind says which messages a caller wants, which may be left out when it falls behind, and what
// came before the watch began.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/core/cluster.h"
#include "muster/v1/incident.pb.h"
#include "muster/v1/job_service.pb.h"

namespace muster::coordinator::rpc {

// The events of jobs.
struct JobEvents {
  using Request = v1::WatchJobsRequest;
  using Message = v1::JobEvent;
  static constexpr const char* kName = "events";

  static bool Wants(const Request& request, const Message& event);
  // Progress and reasons for waiting come again by themselves.
  static bool MayBeDropped(const Message& event);
  // Errors: kNotFound for a job there is not, kOutOfRange when some are forgotten.
  static absl::StatusOr<std::vector<Message>> Backlog(const core::Cluster& cluster,
                                                      const Request& request);
};

// Incidents, whole after every change; so a caller may see one twice, and never misses its newest
// state.
struct IncidentChanges {
  using Request = v1::WatchIncidentsRequest;
  using Message = v1::Incident;
  static constexpr const char* kName = "incidents";

  static bool Wants(const Request& request, const Message& incident);
  static bool MayBeDropped(const Message& incident);
  // Errors: as of JobEvents.
  static absl::StatusOr<std::vector<Message>> Backlog(const core::Cluster& cluster,
                                                      const Request& request);
};

}  // namespace muster::coordinator::rpc
