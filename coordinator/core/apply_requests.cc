// Records of what people asked for. A request that changed nothing is recorded all the same when it
// had a request_id: a late copy of it must not act when the world has moved on.
#include <algorithm>

#include "common/check.h"
#include "coordinator/core/apply.h"
#include "coordinator/core/dependencies.h"
#include "coordinator/core/room.h"

namespace muster::coordinator::core {
namespace {

using Call = RequestUse::Call;

void Remember(ClusterState& state, const std::string& request_id, Call call, JobId job) {
  if (!request_id.empty()) state.requests[request_id] = {.call = call, .job = job};
}

bool SameSizes(const v1::JobSpec& spec, const v1::JobScaled& scaled) {
  return std::equal(spec.mesh().begin(), spec.mesh().end(), scaled.mesh().begin(),
                    scaled.mesh().end(), [](const v1::Axis& left, const v1::Axis& right) {
                      return left.name() == right.name() && left.size() == right.size();
                    });
}

}  // namespace

void ApplyJobSubmitted(ClusterState& state, const v1::Record& record) {
  const v1::JobSubmitted& submitted = record.job_submitted();
  Job& job = state.jobs.Add(JobId(submitted.job_id()), submitted.spec().name());
  job.uid = submitted.uid();
  job.SetSpec(submitted.spec());
  job.user = submitted.user();
  job.submit_unix_ms = record.time_unix_ms();
  job.held = job.spec.schedule().hold();
  if (job.held) job.hold_reason = "as submitted";
  job.array_id = JobId(submitted.array_id());
  job.array_index = submitted.array_index();
  WatchDependencies(state, job);
  Remember(state, submitted.request_id(), Call::kSubmit, job.id);
  Touch(state, job);
  state.plan_needed = true;
}

void ApplyJobCancelRequested(ClusterState& state, const v1::Record& record) {
  const v1::JobCancelRequested& cancel = record.job_cancel_requested();
  Job& job = JobOf(state, cancel.job_id());
  Remember(state, cancel.request_id(), Call::kCancel, job.id);
  if (job.cancel_requested || job.ended()) return;
  job.cancel_requested = true;
  job.cancel_reason = cancel.reason();
  job.cancel_unix_ms = record.time_unix_ms();
  Touch(state, job);
}

void ApplyQueueSet(ClusterState& state, const v1::QueueSet& set) {
  state.queues.Set(set.queue());
  if (!set.request_id().empty()) {
    state.requests[set.request_id()] = {.call = Call::kSetQueue, .queue = set.queue().name()};
  }
  state.plan_needed = true;
}

void ApplyJobHeld(ClusterState& state, const v1::JobHeld& held) {
  Job& job = JobOf(state, held.job_id());
  Remember(state, held.request_id(), held.held() ? Call::kHold : Call::kRelease, job.id);
  if (job.held == held.held() || job.ended()) return;
  job.held = held.held();
  job.hold_reason = held.held() ? held.reason() : "";
  Touch(state, job);
  state.plan_needed = true;
}

void ApplyJobSuspended(ClusterState& state, const v1::JobSuspended& suspended) {
  Job& job = JobOf(state, suspended.job_id());
  Remember(state, suspended.request_id(), suspended.suspended() ? Call::kSuspend : Call::kResume,
           job.id);
  if (job.suspended == suspended.suspended() || job.ended()) return;
  job.suspended = suspended.suspended();
  job.suspend_reason = suspended.suspended() ? suspended.reason() : "";
  job.ForgetWait();
  if (job.suspended && job.LiveAttempt() == nullptr) GiveSparesBack(state, job);
  Touch(state, job);
  state.plan_needed = true;
}

void ApplyJobRequeued(ClusterState& state, const v1::JobRequeued& requeued) {
  Job& job = JobOf(state, requeued.job_id());
  Remember(state, requeued.request_id(), Call::kRequeue, job.id);
  if (job.requeued || job.attempts.empty() || job.ended()) return;
  job.requeued = true;
  if (job.LiveAttempt() == nullptr) GiveSparesBack(state, job);
  Touch(state, job);
  state.plan_needed = true;
}

void ApplyJobSaveAsked(ClusterState& state, const v1::Record& record) {
  const v1::JobSaveAsked& asked = record.job_save_asked();
  Job& job = JobOf(state, asked.job_id());
  Remember(state, asked.request_id(), Call::kSave, job.id);
  Attempt* attempt = job.FindAttempt(asked.attempt());
  CHECK(attempt != nullptr, "job {} is to save attempt {}, which it never had", job.id.value(),
        asked.attempt());
  attempt->facts.set_saves_asked(attempt->facts.saves_asked() + 1);
  attempt->facts.set_save_asked_unix_ms(record.time_unix_ms());
  attempt->facts.set_save_asked_step(asked.step());
  Touch(state, job);
}

void ApplyJobScaled(ClusterState& state, const v1::JobScaled& scaled) {
  Job& job = JobOf(state, scaled.job_id());
  Remember(state, scaled.request_id(), Call::kScale, job.id);
  if (job.ended() || SameSizes(job.spec, scaled)) return;
  v1::JobSpec spec = job.spec;
  *spec.mutable_mesh() = scaled.mesh();
  job.SetSpec(std::move(spec));
  job.ForgetWait();
  Touch(state, job);
  state.plan_needed = true;
}

}  // namespace muster::coordinator::core
