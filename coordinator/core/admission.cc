#include <fmt/format.h>

#include "common/status.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/request_use.h"

namespace muster::coordinator::core {
namespace {

void MoveJobsAway(Turn& turn, Node& node) {
  for (const JobId id : std::set<JobId>(node.jobs)) {
    Job& job = *turn.state().jobs.Find(id);
    const Attempt* attempt = job.LiveAttempt();
    if (attempt == nullptr || !attempt->good()) continue;
    StopAttempt(
        turn, job, v1::ATTEMPT_OUTCOME_DRAINED,
        CauseOnNode(node.name, fmt::format("{} is {}", node.name.value(),
                                           AdmissionText(node.admission, node.admission_reason))));
  }
}

absl::StatusOr<v1::SetNodeAdmissionResponse> SetAdmission(
    Turn& turn, const v1::SetNodeAdmissionRequest& request) {
  ClusterState& state = turn.state();
  v1::SetNodeAdmissionResponse response;
  const auto earlier = EarlierUse(state, request.request_id(), RequestUse::Call::kSetAdmission);
  if (!earlier.ok()) return earlier.status();
  const NodeId name = *earlier != nullptr ? (*earlier)->node : NodeId(request.node());
  Node* node = state.nodes.Find(name);
  if (node == nullptr) {
    return NotFound("node {}: no worker of this name has joined; `muster node list` shows all",
                    name.value());
  }
  const v1::NodeAdmission wanted = request.admission();
  if (wanted != v1::NODE_ADMISSION_OPEN && wanted != v1::NODE_ADMISSION_CORDONED &&
      wanted != v1::NODE_ADMISSION_DRAINING) {
    return InvalidArgument("node {}: admission must be OPEN, CORDONED or DRAINING", name.value());
  }
  const bool drained_already =
      wanted == v1::NODE_ADMISSION_DRAINING && node->admission == v1::NODE_ADMISSION_DRAINED;
  const bool same =
      (node->admission == wanted || drained_already) && node->admission_reason == request.reason();
  if (*earlier == nullptr && !same && !request.validate_only()) {
    v1::Record record;
    v1::NodeAdmissionSet* set = record.mutable_node_admission_set();
    set->set_node(name.value());
    set->set_admission(wanted);
    set->set_reason(request.reason());
    set->set_request_id(request.request_id());
    turn.Record(std::move(record));
    if (wanted == v1::NODE_ADMISSION_DRAINING) MoveJobsAway(turn, *node);
    MaybeFinishDrain(turn, *node);
  }
  *response.mutable_node() = NodeView(state, *node);
  return response;
}

}  // namespace

void OnSetNodeAdmission(Turn& turn, const SetNodeAdmission& input) {
  turn.Answer(input.token, SetAdmission(turn, input.request));
}

}  // namespace muster::coordinator::core
