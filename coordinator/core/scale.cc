#include <fmt/format.h>

#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/queue_limits.h"
#include "coordinator/core/request_use.h"
#include "spec/validate.h"

namespace muster::coordinator::core {
namespace {

std::string AxisNames(const v1::JobSpec& spec) {
  std::string names;
  for (const v1::Axis& axis : spec.mesh()) names += (names.empty() ? "" : ", ") + axis.name();
  return names;
}

struct Resized {
  v1::JobSpec spec;
  std::string changes;  // "data 2 → 4"; empty = none
};

absl::StatusOr<Resized> Resize(const Job& job, const v1::ScaleJobRequest& request) {
  if (request.mesh().empty()) {
    return InvalidArgument("scale job {}: say the new size of an axis; it has {}", job.id.value(),
                           AxisNames(job.spec));
  }
  Resized resized{job.spec, ""};
  for (int i = 0; i < request.mesh_size(); ++i) {
    const v1::Axis& wanted = request.mesh(i);
    for (int before = 0; before < i; ++before) {
      if (request.mesh(before).name() != wanted.name()) continue;
      return InvalidArgument("scale job {}: axis \"{}\" is named twice; give it one size",
                             job.id.value(), wanted.name());
    }
    v1::Axis* axis = nullptr;
    for (v1::Axis& there : *resized.spec.mutable_mesh()) {
      if (there.name() == wanted.name()) axis = &there;
    }
    if (axis == nullptr) {
      return InvalidArgument("scale job {}: it has no axis \"{}\"; it has {}", job.id.value(),
                             wanted.name(), AxisNames(job.spec));
    }
    if (axis->size() == wanted.size()) continue;
    resized.changes += fmt::format("{}{} {} → {}", resized.changes.empty() ? "" : ", ",
                                   axis->name(), axis->size(), wanted.size());
    axis->set_size(wanted.size());
  }
  return resized;
}

absl::Status CheckPossible(const ClusterState& state, const Job& job, const v1::JobSpec& spec) {
  const uint64_t id = job.id.value();
  if (job.ended()) {
    return FailedPrecondition("scale job {}: it has already ended: {}", id,
                              v1::JobState_Name(job.end_state).substr(10));
  }
  if (job.cancel_requested) return FailedPrecondition("scale job {}: it is being cancelled", id);
  if (const absl::Status valid = spec::ValidateJobSpec(spec); !valid.ok()) {
    return InvalidArgument("scale job {}: {}", id, std::string(valid.message()));
  }
  std::string never = WhyNeverFitsHere(state, spec);
  if (never.empty()) never = WhyNeverInQueue(*state.queues.Find(QueueName(spec)), spec);
  if (!never.empty()) return ResourceExhausted("scale job {}: {}", id, never);
  return absl::OkStatus();
}

absl::StatusOr<v1::ScaleJobResponse> Scale(Turn& turn, const v1::ScaleJobRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kScale));
  const JobId id = earlier != nullptr ? earlier->job : JobId(request.job_id());
  Job* job = state.jobs.Find(id);
  if (job == nullptr) {
    return NotFound("scale job {}: there is no such job; `muster list` shows those there are",
                    id.value());
  }
  v1::ScaleJobResponse response;
  if (earlier == nullptr) {
    MUSTER_ASSIGN_OR_RETURN(const Resized resized, Resize(*job, request));
    MUSTER_RETURN_IF_ERROR(CheckPossible(state, *job, resized.spec));
    if (request.validate_only()) {
      *response.mutable_job() = JobView(state, *job, true);
      *response.mutable_job()->mutable_spec() = resized.spec;
      return response;
    }
    const bool changes = !resized.changes.empty();
    if (changes || !request.request_id().empty()) {
      v1::Record record;
      record.mutable_job_scaled()->set_job_id(id.value());
      *record.mutable_job_scaled()->mutable_mesh() = resized.spec.mesh();
      record.mutable_job_scaled()->set_request_id(request.request_id());
      turn.Record(std::move(record));
    }
    if (const Attempt* attempt = job->LiveAttempt();
        changes && attempt != nullptr && attempt->good()) {
      v1::FailureCause cause;
      cause.set_text("resized: " + resized.changes);
      StopAttempt(turn, *job, v1::ATTEMPT_OUTCOME_RESIZED, cause);
    }
    PlanIfNeeded(turn);  // so that the answer says whether it starts, or why not
  }
  *response.mutable_job() = JobView(state, *job, true);
  return response;
}

}  // namespace

void OnScaleJob(Turn& turn, const ScaleJob& input) {
  turn.Answer(input.token, Scale(turn, input.request));
}

}  // namespace muster::coordinator::core
