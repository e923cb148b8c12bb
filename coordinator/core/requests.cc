#include <fmt/format.h>

#include "common/status.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"
#include "coordinator/scheduler/plan.h"

namespace muster::coordinator::core {
namespace {

constexpr size_t kUidDigits = 6;

// The earlier use of a request_id, when there is one; an error when it was another call.
absl::StatusOr<const RequestUse*> EarlierUse(const ClusterState& state, const std::string& id,
                                             RequestUse::Call call) {
  const auto found = id.empty() ? state.requests.end() : state.requests.find(id);
  if (found == state.requests.end()) return nullptr;
  if (found->second.call != call) {
    return InvalidArgument(
        "request_id \"{}\" was used for another kind of call; choose a fresh one for each request",
        id);
  }
  return &found->second;
}

absl::StatusOr<v1::SubmitJobResponse> Submit(Turn& turn, const v1::SubmitJobRequest& request) {
  ClusterState& state = turn.state();
  v1::SubmitJobResponse response;
  const auto earlier = EarlierUse(state, request.request_id(), RequestUse::Call::kSubmit);
  if (!earlier.ok()) return earlier.status();
  if (*earlier != nullptr) {
    *response.mutable_job() = JobView(state, *state.jobs.Find((*earlier)->job), true);
    return response;
  }
  const v1::JobSpec& spec = request.spec();
  const Job* same_name = state.jobs.FindByName(spec.name());
  if (same_name != nullptr && !same_name->ended()) {
    return AlreadyExists(
        "submit job \"{}\": job {} has this name and is {}; cancel it first or choose another name",
        spec.name(), same_name->id.value(), v1::JobState_Name(same_name->State()).substr(10));
  }
  if (const std::string never = WhyNeverFitsHere(state, spec); !never.empty()) {
    return ResourceExhausted("submit job \"{}\": {}", spec.name(), never);
  }
  if (request.validate_only()) {
    *response.mutable_job()->mutable_spec() = spec;
    response.mutable_job()->set_user(request.user());
    response.mutable_job()->set_reason(PlanOne(state, spec).reason());
    return response;
  }
  const JobId id = state.jobs.NextId();
  v1::Record record;
  v1::JobSubmitted* submitted = record.mutable_job_submitted();
  submitted->set_job_id(id.value());
  submitted->set_uid(
      fmt::format("{}-{}-{}", spec.name(), id.value(), state.cluster_id.substr(0, kUidDigits)));
  *submitted->mutable_spec() = spec;
  submitted->set_request_id(request.request_id());
  submitted->set_user(request.user());
  turn.Record(std::move(record));
  PlanIfNeeded(turn);
  *response.mutable_job() = JobView(state, *state.jobs.Find(id), true);
  return response;
}

absl::StatusOr<v1::CancelJobResponse> Cancel(Turn& turn, const v1::CancelJobRequest& request) {
  ClusterState& state = turn.state();
  v1::CancelJobResponse response;
  const auto earlier = EarlierUse(state, request.request_id(), RequestUse::Call::kCancel);
  if (!earlier.ok()) return earlier.status();
  const JobId id = *earlier != nullptr ? (*earlier)->job : JobId(request.job_id());
  Job* job = state.jobs.Find(id);
  if (job == nullptr) {
    return NotFound("cancel job {}: there is no such job; `muster list` shows those there are",
                    id.value());
  }
  const bool again = *earlier != nullptr || job->cancel_requested;
  if (!again && job->ended()) {
    return FailedPrecondition("cancel job {}: it has already ended: {}", id.value(),
                              v1::JobState_Name(job->end_state).substr(10));
  }
  if (!again && !request.validate_only()) {
    v1::Record record;
    v1::JobCancelRequested* cancel = record.mutable_job_cancel_requested();
    cancel->set_job_id(id.value());
    cancel->set_reason(request.reason());
    cancel->set_request_id(request.request_id());
    turn.Record(std::move(record));
    if (Attempt* attempt = job->LiveAttempt(); attempt == nullptr) {
      MaybeEndJob(turn, *job);
    } else if (attempt->good()) {
      v1::FailureCause cause;
      cause.set_text(request.reason().empty() ? "cancelled" : "cancelled: " + request.reason());
      StopAttempt(turn, *job, v1::ATTEMPT_OUTCOME_CANCELLED, cause);
    } else {
      for (Share& share : attempt->shares) share.next_order = absl::InfinitePast();
      SendOrders(turn, *job);  // the grace may be shorter now
    }
  }
  *response.mutable_job() = JobView(state, *job, true);
  return response;
}

void MoveJobsAway(Turn& turn, Node& node) {
  for (const JobId id : node.Jobs()) {
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

void OnSubmitJob(Turn& turn, const SubmitJob& input) {
  turn.Answer(input.token, Submit(turn, input.request));
}

void OnCancelJob(Turn& turn, const CancelJob& input) {
  turn.Answer(input.token, Cancel(turn, input.request));
}

void OnSetNodeAdmission(Turn& turn, const SetNodeAdmission& input) {
  turn.Answer(input.token, SetAdmission(turn, input.request));
}

}  // namespace muster::coordinator::core
