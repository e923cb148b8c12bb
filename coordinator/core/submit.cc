#include <fmt/format.h>

#include <vector>

#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/queue_limits.h"
#include "coordinator/core/request_use.h"
#include "spec/validate.h"

namespace muster::coordinator::core {
namespace {

constexpr size_t kUidDigits = 6;
constexpr uint32_t kArrayJobsMax = 10'000;

// The names of the jobs that the submission becomes.
absl::StatusOr<std::vector<std::string>> JobNames(const v1::JobSpec& spec) {
  if (!spec.schedule().has_array()) return std::vector<std::string>{spec.name()};
  const uint32_t count = spec.schedule().array().count();
  if (count == 0 || count > kArrayJobsMax) {
    return InvalidArgument(
        "submit job \"{}\": an array of {} jobs; give schedule.array.count 1 to {}", spec.name(),
        count, kArrayJobsMax);
  }
  std::vector<std::string> names;
  for (uint32_t i = 0; i < count; ++i) names.push_back(fmt::format("{}-{}", spec.name(), i));
  MUSTER_RETURN_IF_ERROR(spec::CheckJobName(names.back()));
  return names;
}

absl::Status CheckNamesAreFree(const ClusterState& state, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const Job* same_name = state.jobs.FindByName(name);
    if (same_name == nullptr || same_name->ended()) continue;
    return AlreadyExists(
        "submit job \"{}\": job {} has this name and is {}; cancel it first or choose another name",
        name, same_name->id.value(), v1::JobState_Name(same_name->State()).substr(10));
  }
  return absl::OkStatus();
}

v1::Record SubmittedRecord(const ClusterState& state, const v1::JobSpec& spec,
                           const std::string& name, const std::string& user) {
  const JobId id = state.jobs.NextId();
  v1::Record record;
  v1::JobSubmitted* submitted = record.mutable_job_submitted();
  submitted->set_job_id(id.value());
  submitted->set_uid(
      fmt::format("{}-{}-{}", name, id.value(), state.cluster_id.substr(0, kUidDigits)));
  *submitted->mutable_spec() = spec;
  submitted->mutable_spec()->set_name(name);
  submitted->set_user(user);
  return record;
}

v1::SubmitJobResponse ResponseFor(const ClusterState& state, const Job& job) {
  v1::SubmitJobResponse response;
  *response.mutable_job() = JobView(state, job, true);
  response.set_array_jobs(job.spec.schedule().array().count());
  return response;
}

absl::StatusOr<v1::SubmitJobResponse> Submit(Turn& turn, const v1::SubmitJobRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kSubmit));
  if (earlier != nullptr) return ResponseFor(state, *state.jobs.Find(earlier->job));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::string> names, JobNames(request.spec()));
  MUSTER_RETURN_IF_ERROR(CheckNamesAreFree(state, names));
  MUSTER_ASSIGN_OR_RETURN(const v1::JobSpec spec, AcceptableSpec(state, request.spec(), "submit"));
  if (request.validate_only()) {
    v1::SubmitJobResponse response;
    *response.mutable_job()->mutable_spec() = spec;
    response.mutable_job()->set_user(request.user());
    response.mutable_job()->set_reason(PlanOne(state, spec, request.user()).reason());
    response.set_array_jobs(spec.schedule().array().count());
    return response;
  }
  const JobId first = state.jobs.NextId();
  for (uint32_t i = 0; i < names.size(); ++i) {
    v1::Record record = SubmittedRecord(state, spec, names[i], request.user());
    if (spec.schedule().has_array()) {
      record.mutable_job_submitted()->set_array_id(first.value());
      record.mutable_job_submitted()->set_array_index(i);
    }
    if (i == 0) record.mutable_job_submitted()->set_request_id(request.request_id());
    turn.Record(std::move(record));
  }
  PlanIfNeeded(turn);
  return ResponseFor(state, *state.jobs.Find(first));
}

}  // namespace

absl::StatusOr<v1::JobSpec> AcceptableSpec(const ClusterState& state, const v1::JobSpec& asked,
                                           const std::string& what) {
  v1::JobSpec spec = asked;
  spec.mutable_schedule()->set_queue(QueueName(asked));
  MUSTER_RETURN_IF_ERROR(ResolveDependencies(state, &spec));
  const Queue* queue = state.queues.Find(QueueName(spec));
  if (queue == nullptr) {
    return NotFound(
        "{} job \"{}\": there is no queue \"{}\"; there are: {}; create it with `muster queue set`",
        what, spec.name(), QueueName(spec), state.queues.Names());
  }
  std::string never = WhyNeverFitsHere(state, spec);
  if (never.empty()) never = WhyNeverInQueue(*queue, spec);
  if (!never.empty()) return ResourceExhausted("{} job \"{}\": {}", what, spec.name(), never);
  return spec;
}

void OnSubmitJob(Turn& turn, const SubmitJob& input) {
  turn.Answer(input.token, Submit(turn, input.request));
}

}  // namespace muster::coordinator::core
