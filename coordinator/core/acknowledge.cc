#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/incidents.h"
#include "coordinator/core/request_use.h"

namespace muster::coordinator::core {
namespace {

absl::StatusOr<v1::AckIncidentResponse> Acknowledge(Turn& turn,
                                                    const v1::AckIncidentRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kAckIncident));
  const uint64_t id = earlier != nullptr ? earlier->incident : request.incident_id();
  const IncidentEntry* entry = state.incidents.Find(id);
  if (entry == nullptr) {
    return NotFound("ack incident {}: there is none; `muster incident list` shows those there are",
                    id);
  }
  const bool same = entry->facts.acknowledged() &&
                    entry->facts.acknowledged_by() == request.user() &&
                    entry->facts.note() == request.note();
  const bool recorded = !same || !request.request_id().empty();
  if (earlier == nullptr && recorded && !request.validate_only()) {
    v1::Record record;
    v1::IncidentAcknowledged* ack = record.mutable_incident_acknowledged();
    ack->set_incident(id);
    ack->set_user(request.user());
    ack->set_note(request.note());
    ack->set_request_id(request.request_id());
    turn.Record(std::move(record));
  }
  v1::AckIncidentResponse response;
  *response.mutable_incident() = IncidentView(state, *entry, true);
  return response;
}

}  // namespace

void OnAckIncident(Turn& turn, const AckIncident& input) {
  turn.Answer(input.token, Acknowledge(turn, input.request));
}

}  // namespace muster::coordinator::core
