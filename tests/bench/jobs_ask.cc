#include <functional>

#include "tests/bench/jobs_client.h"
#include "tests/bench/jobs_load.h"
#include "tests/bench/latencies.h"

namespace muster::bench {
namespace {

v1::ListJobsRequest List(const std::vector<v1::JobState>& states) {
  v1::ListJobsRequest request;
  for (const v1::JobState state : states) request.add_states(state);
  return request;
}

absl::Status Time(const std::string& what, uint32_t times,
                  const std::function<absl::Status()>& call) {
  Latencies latencies;
  for (uint32_t i = 0; i < times; ++i) {
    const absl::Time start = absl::Now();
    MUSTER_RETURN_IF_ERROR(call());
    latencies.Add(absl::Now() - start);
  }
  fmt::print(
      "{{\"ask\": \"{}\", \"times\": {}, \"p50_ms\": {:.2f}, \"p99_ms\": {:.2f}, \"max_ms\": "
      "{:.2f}}}\n",
      what, times, latencies.Percentile(0.5), latencies.Percentile(0.99), latencies.Percentile(1));
  return absl::OkStatus();
}

}  // namespace

absl::Status AskLoad(const std::string& address, uint64_t ended_job, uint64_t waiting_job,
                     uint32_t times) {
  using Stub = v1::JobService::Stub;
  JobsClient client(address);
  const auto list = [&](const v1::ListJobsRequest& request) {
    return [&client, request] {
      v1::ListJobsResponse response;
      return client.Call(&Stub::ListJobs, request, &response);
    };
  };
  v1::ListJobsRequest oldest = List({});
  oldest.set_page_token("101");
  v1::ListJobsRequest full = List({});
  full.set_full(true);
  const auto get = [&](uint64_t job, const std::string& name) {
    v1::GetJobRequest request;
    request.set_job_id(job);
    request.set_name(name);
    return [&client, request] {
      v1::GetJobResponse response;
      return client.Call(&Stub::GetJob, request, &response);
    };
  };
  const auto plan = [&] {
    v1::PlanJobRequest request;
    *request.mutable_spec() = OrdinaryJob("planned", 4);
    v1::PlanJobResponse response;
    return client.Call(&Stub::PlanJob, request, &response);
  };
  MUSTER_RETURN_IF_ERROR(list({})());  // connects
  MUSTER_RETURN_IF_ERROR(Time("list, first page", times, list({})));
  MUSTER_RETURN_IF_ERROR(Time("list, first page, full", times, list(full)));
  MUSTER_RETURN_IF_ERROR(Time("list, the oldest", times, list(oldest)));
  MUSTER_RETURN_IF_ERROR(Time("list queued", times, list(List({v1::JOB_STATE_QUEUED}))));
  MUSTER_RETURN_IF_ERROR(Time("list running (none)", times, list(List({v1::JOB_STATE_RUNNING}))));
  MUSTER_RETURN_IF_ERROR(Time("list failed", times, list(List({v1::JOB_STATE_FAILED}))));
  MUSTER_RETURN_IF_ERROR(
      Time("list cancelled (none)", times, list(List({v1::JOB_STATE_CANCELLED}))));
  if (ended_job != 0) {
    MUSTER_RETURN_IF_ERROR(Time("get an ended job", times, get(ended_job, "")));
    MUSTER_RETURN_IF_ERROR(
        Time("get it by name", times, get(0, fmt::format("train-{}", ended_job))));
  }
  if (waiting_job != 0) {
    MUSTER_RETURN_IF_ERROR(Time("get the last in line", times, get(waiting_job, "")));
  }
  return Time("plan", times, plan);
}

}  // namespace muster::bench
