#include "tests/unit/coordinator_rpc/failed_jobs.h"

#include <gtest/gtest.h>

namespace muster::coordinator::rpc {

FailedJobs::FailedJobs(const core::Options& options) : cluster_(options) {
  Step(core::Start{"test", 1});
  core::WorkerConnected connected{SessionId(1), {}};
  connected.hello.set_node("n1");
  connected.hello.set_incarnation(1);
  connected.hello.set_slots(1);
  Step(std::move(connected));
}

core::Outcome FailedJobs::Step(core::Input input) {
  now_ += absl::Milliseconds(1);
  return cluster_.Step(input, now_);
}

void FailedJobs::FailOne() {
  core::SubmitJob submit;
  v1::JobSpec* spec = submit.request.mutable_spec();
  spec->set_name("fails");
  spec->add_mesh()->set_name("data");
  spec->mutable_mesh(0)->set_size(1);
  spec->mutable_resources()->set_slots_per_rank(1);
  spec->mutable_program()->add_command("/bin/false");
  spec->mutable_recovery()->set_attempts_without_progress(1);
  Step(std::move(submit));
  Step(core::Tick{});
  core::WorkerSaid said{SessionId(1), {}};
  v1::AttemptReport* report = said.message.mutable_report();
  report->set_job_id(++jobs_);
  report->set_attempt(1);
  report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  v1::RankReport* rank = report->add_ranks();
  rank->set_state(v1::RANK_STATE_EXITED);
  rank->set_exit_code(1);
  Step(std::move(said));
  v1::GetJobRequest request;
  request.set_job_id(jobs_);
  const auto job = cluster_.GetJob(request);
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_EQ(job->job().state(), v1::JOB_STATE_FAILED) << job->job().reason();
}

}  // namespace muster::coordinator::rpc
