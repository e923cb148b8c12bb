#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/request_use.h"

namespace muster::coordinator::core {
namespace {

void CancelOne(Turn& turn, Job& job, const std::string& reason, const std::string& request_id) {
  v1::Record record;
  v1::JobCancelRequested* cancel = record.mutable_job_cancel_requested();
  cancel->set_job_id(job.id.value());
  cancel->set_reason(reason);
  cancel->set_request_id(request_id);
  turn.Record(std::move(record));
  if (Attempt* attempt = job.LiveAttempt(); attempt == nullptr) {
    MaybeEndJob(turn, job);
  } else if (attempt->good()) {
    v1::FailureCause cause;
    cause.set_text(reason.empty() ? "cancelled" : "cancelled: " + reason);
    StopAttempt(turn, job, v1::ATTEMPT_OUTCOME_CANCELLED, cause);
  } else {
    for (Share& share : attempt->shares) share.next_order = absl::InfinitePast();
    SendOrders(turn, job);  // the grace may be shorter now
  }
}

// The jobs the request names that are neither ended nor being cancelled.
absl::StatusOr<std::vector<Job*>> Targets(ClusterState& state, Job& job, bool array) {
  std::vector<Job*> targets;
  if (!array) {
    if (!job.cancel_requested && job.ended()) {
      return FailedPrecondition("cancel job {}: it has already ended: {}", job.id.value(),
                                v1::JobState_Name(job.end_state).substr(10));
    }
    if (!job.cancel_requested) targets.push_back(&job);
    return targets;
  }
  const Array* found = state.arrays.Find(job.array_id);
  if (found == nullptr) {
    return FailedPrecondition("cancel the array of job {}: it is part of none; cancel the job",
                              job.id.value());
  }
  bool all_ended = true;
  for (uint64_t i = 0; i < found->count; ++i) {
    Job& one = *state.jobs.Find(JobId(job.array_id.value() + i));
    all_ended = all_ended && one.ended() && !one.cancel_requested;
    if (!one.ended() && !one.cancel_requested) targets.push_back(&one);
  }
  if (all_ended) {
    return FailedPrecondition("cancel array {}: every job of it has already ended",
                              job.array_id.value());
  }
  return targets;
}

absl::StatusOr<v1::CancelJobResponse> Cancel(Turn& turn, const v1::CancelJobRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kCancel));
  const JobId id = earlier != nullptr ? earlier->job : JobId(request.job_id());
  Job* job = state.jobs.Find(id);
  if (job == nullptr) {
    return NotFound("cancel job {}: there is no such job; `muster list` shows those there are",
                    id.value());
  }
  if (earlier == nullptr) {
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Job*> targets, Targets(state, *job, request.array()));
    std::string request_id = request.request_id();
    for (Job* target : targets) {
      if (request.validate_only()) break;
      CancelOne(turn, *target, request.reason(), request_id);
      request_id.clear();
    }
  }
  v1::CancelJobResponse response;
  *response.mutable_job() = JobView(state, *job, true);
  return response;
}

}  // namespace

void OnCancelJob(Turn& turn, const CancelJob& input) {
  turn.Answer(input.token, Cancel(turn, input.request));
}

}  // namespace muster::coordinator::core
