// Hold and release, suspend and resume, requeue, save.
#include <string>

#include "common/check.h"
#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/request_use.h"
#include "spec/checkpoints.h"

namespace muster::coordinator::core {
namespace {

using Call = RequestUse::Call;

// One kind of control.
struct Kind {
  Call call;
  const char* verb;  // "hold"
  // Of a running attempt; UNSPECIFIED: it goes on.
  v1::AttemptOutcome stops_with = v1::ATTEMPT_OUTCOME_UNSPECIFIED;
  const char* cause = "";
};

absl::StatusOr<Kind> KindOf(v1::JobAction action) {
  switch (action) {
    case v1::JOB_ACTION_HOLD:
      return Kind{Call::kHold, "hold"};
    case v1::JOB_ACTION_RELEASE:
      return Kind{Call::kRelease, "release"};
    case v1::JOB_ACTION_SUSPEND:
      return Kind{Call::kSuspend, "suspend", v1::ATTEMPT_OUTCOME_SUSPENDED, "suspended"};
    case v1::JOB_ACTION_RESUME:
      return Kind{Call::kResume, "resume"};
    case v1::JOB_ACTION_REQUEUE:
      return Kind{Call::kRequeue, "requeue", v1::ATTEMPT_OUTCOME_REQUEUED, "requeued"};
    case v1::JOB_ACTION_SAVE:
      return Kind{Call::kSave, "save"};
    case v1::JOB_ACTION_UNSPECIFIED:
    case v1::JobAction_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::JobAction_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return InvalidArgument(
      "control a job: say what to do: HOLD, RELEASE, SUSPEND, RESUME, REQUEUE or SAVE");
}

// Does the job not yet look as the request wants it to?
bool ChangesSomething(const Job& job, Call call) {
  switch (call) {
    case Call::kHold:
      return !job.held;
    case Call::kRelease:
      return job.held;
    case Call::kSuspend:
      return !job.suspended;
    case Call::kResume:
      return job.suspended;
    case Call::kRequeue:
      return !job.attempts.empty() && !job.requeued;
    case Call::kSave:
      return true;  // of what it has done since the last one
    case Call::kSubmit:
    case Call::kCancel:
    case Call::kScale:
    case Call::kSetAdmission:
    case Call::kSetQueue:
    case Call::kAckIncident:
    case Call::kSetQuarantine:
    case Call::kTestNode:
      break;
  }
  CHECK(false, "not a call that controls a job");
}

v1::Record SaveRecord(const Job& job, const v1::ControlJobRequest& request) {
  const Attempt& attempt = *job.LiveAttempt();
  v1::Record record;
  v1::JobSaveAsked* asked = record.mutable_job_save_asked();
  asked->set_job_id(job.id.value());
  asked->set_attempt(attempt.facts.number());
  asked->set_step(attempt.progress.step());
  asked->set_user(request.user());
  asked->set_reason(request.reason());
  asked->set_request_id(request.request_id());
  return record;
}

v1::Record RecordOf(const Job& job, const v1::ControlJobRequest& request, Call call) {
  if (call == Call::kSave) return SaveRecord(job, request);
  v1::Record record;
  const auto fill = [&](auto* change) {
    change->set_job_id(request.job_id());
    change->set_reason(request.reason());
    change->set_request_id(request.request_id());
  };
  if (call == Call::kHold || call == Call::kRelease) {
    record.mutable_job_held()->set_held(call == Call::kHold);
    fill(record.mutable_job_held());
  } else if (call == Call::kSuspend || call == Call::kResume) {
    record.mutable_job_suspended()->set_suspended(call == Call::kSuspend);
    fill(record.mutable_job_suspended());
  } else {
    fill(record.mutable_job_requeued());
  }
  return record;
}

absl::Status CheckCanSave(const Job& job) {
  const uint64_t id = job.id.value();
  if (!spec::KeepsCheckpoints(job.spec)) {
    return FailedPrecondition(
        "save job {}: it keeps no checkpoints; give its job file `checkpoint: {{path: FOLDER}}` "
        "and submit it again",
        id);
  }
  if (job.ended()) {
    return FailedPrecondition(
        "save job {}: it has already ended: {}; `muster ckpt list {}` shows what it saved", id,
        v1::JobState_Name(job.end_state).substr(10), id);
  }
  const Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr) {
    return FailedPrecondition(
        "save job {}: it is {} and no rank of it runs; `muster ckpt list {}` shows what it has "
        "saved",
        id, v1::JobState_Name(job.State()).substr(10), id);
  }
  if (attempt->stopping()) {
    return FailedPrecondition(
        "save job {}: attempt {} is being stopped: {}; `muster watch {}` shows what it still saves",
        id, attempt->facts.number(),
        job.cancel_requested ? "cancelled" : attempt->facts.cause().text(), id);
  }
  return absl::OkStatus();
}

absl::Status CheckPossible(const Job& job, const Kind& kind) {
  const uint64_t id = job.id.value();
  if (kind.call == Call::kSave) return CheckCanSave(job);
  if (job.ended()) {
    return FailedPrecondition("{} job {}: it has already ended: {}", kind.verb, id,
                              v1::JobState_Name(job.end_state).substr(10));
  }
  if (job.cancel_requested) {
    return FailedPrecondition("{} job {}: it is being cancelled", kind.verb, id);
  }
  if (kind.call == Call::kRequeue && job.suspended) {
    return FailedPrecondition(
        "requeue job {}: it is suspended and waits for nothing; `muster resume {}` queues it", id,
        id);
  }
  return absl::OkStatus();
}

// At once; repeated until every node says that its ranks know.
void OrderSave(Turn& turn, Job& job) {
  for (Share& share : job.LiveAttempt()->shares) {
    if (share.reported) share.next_order = absl::InfinitePast();
  }
  SendOrders(turn, job);
}

absl::StatusOr<v1::ControlJobResponse> Control(Turn& turn, const v1::ControlJobRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const Kind kind, KindOf(request.action()));
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), kind.call));
  const JobId id = earlier != nullptr ? earlier->job : JobId(request.job_id());
  Job* job = state.jobs.Find(id);
  if (job == nullptr) {
    return NotFound("{} job {}: there is no such job; `muster list` shows those there are",
                    kind.verb, id.value());
  }
  if (earlier == nullptr) {
    MUSTER_RETURN_IF_ERROR(CheckPossible(*job, kind));
    const bool changes = ChangesSomething(*job, kind.call);
    // Without effect it is recorded for its request_id's sake.
    const bool recorded = changes || !request.request_id().empty();
    if (recorded && !request.validate_only()) turn.Record(RecordOf(*job, request, kind.call));
    const bool stops = changes && kind.stops_with != v1::ATTEMPT_OUTCOME_UNSPECIFIED;
    const Attempt* attempt = job->LiveAttempt();
    if (stops && !request.validate_only() && attempt != nullptr && attempt->good()) {
      v1::FailureCause cause;
      cause.set_text(request.reason().empty() ? kind.cause
                                              : std::string(kind.cause) + ": " + request.reason());
      StopAttempt(turn, *job, kind.stops_with, cause);
    }
    if (kind.call == Call::kSave && !request.validate_only()) OrderSave(turn, *job);
    PlanIfNeeded(turn);  // so that the answer says whether it starts, or why not
  }
  v1::ControlJobResponse response;
  *response.mutable_job() = JobView(state, *job, true);
  return response;
}

}  // namespace

void OnControlJob(Turn& turn, const ControlJob& input) {
  turn.Answer(input.token, Control(turn, input.request));
}

}  // namespace muster::coordinator::core
