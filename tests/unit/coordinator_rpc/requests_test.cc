// Hold, suspend, scale, arrays and queues through a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "muster/v1/queue.grpc.pb.h"
#include "tests/unit/coordinator_rpc/fake_worker.h"
#include "tests/unit/coordinator_rpc/running_coordinator.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

class Requests : public testing::Test {
 protected:
  Requests() : queues_(v1::QueueService::NewStub(coordinator_.channel)) {}

  grpc::Status Control(uint64_t job, v1::JobAction action, const std::string& request_id = "",
                       const std::string& reason = "") {
    v1::ControlJobRequest request;
    request.set_job_id(job);
    request.set_action(action);
    request.set_request_id(request_id);
    request.set_reason(reason);
    return coordinator_.jobs->ControlJob(RunningCoordinator::Context().get(), request,
                                         &controlled_);
  }
  grpc::Status Scale(uint64_t job, const std::string& axis, uint32_t size) {
    v1::ScaleJobRequest request;
    request.set_job_id(job);
    v1::Axis* added = request.add_mesh();
    added->set_name(axis);
    added->set_size(size);
    return coordinator_.jobs->ScaleJob(RunningCoordinator::Context().get(), request, &scaled_);
  }
  grpc::Status SetQueue(const v1::QueueSpec& spec) {
    v1::SetQueueRequest request;
    *request.mutable_queue() = spec;
    return queues_->SetQueue(RunningCoordinator::Context().get(), request, &set_);
  }
  grpc::Status PauseQueue(const std::string& name, bool paused, const std::string& reason = "") {
    v1::PauseQueueRequest request;
    request.set_name(name);
    request.set_paused(paused);
    request.set_reason(reason);
    return queues_->PauseQueue(RunningCoordinator::Context().get(), request, &paused_);
  }

  TempFolder temp_;
  RunningCoordinator coordinator_{temp_.path()};
  std::unique_ptr<v1::QueueService::Stub> queues_;
  v1::ControlJobResponse controlled_;
  v1::ScaleJobResponse scaled_;
  v1::SetQueueResponse set_;
  v1::PauseQueueResponse paused_;
};

TEST_F(Requests, SuspendStopsTheRanksAndResumeStartsThemAgain) {
  FakeWorker worker(coordinator_.daemon->address(), "n1", 1, 2);
  ASSERT_TRUE(worker.Connect());
  const v1::Job job = coordinator_.Submit(RunningCoordinator::TwoRanks("paused"));
  const v1::CoordinatorMessage first = worker.Await(v1::CoordinatorMessage::kStart);
  worker.Report(first.start(), v1::RANK_STATE_RUNNING);
  ASSERT_TRUE(Control(job.id(), v1::JOB_ACTION_SUSPEND, "s1", "a demo").ok());
  EXPECT_EQ(controlled_.job().state(), v1::JOB_STATE_STOPPING);
  EXPECT_TRUE(controlled_.job().suspended());
  EXPECT_THAT(worker.Await(v1::CoordinatorMessage::kStop).stop().reason(), HasSubstr("a demo"));
  worker.Report(first.start(), v1::RANK_STATE_EXITED);
  worker.Await(v1::CoordinatorMessage::kRelease);
  coordinator_.WatchUntil(job.id(), 1, v1::EVENT_KIND_ATTEMPT_ENDED);
  EXPECT_EQ(coordinator_.Job(job.id()).state(), v1::JOB_STATE_SUSPENDED);

  ASSERT_TRUE(Control(job.id(), v1::JOB_ACTION_RESUME).ok());
  EXPECT_EQ(controlled_.job().state(), v1::JOB_STATE_STARTING);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kStart).start().attempt(), 2);
  // A late copy of the first request does not suspend it again.
  ASSERT_TRUE(Control(job.id(), v1::JOB_ACTION_SUSPEND, "s1").ok());
  EXPECT_FALSE(controlled_.job().suspended());
}

TEST_F(Requests, HoldAndReleaseOfAWaitingJob) {
  const v1::Job job = coordinator_.Submit(RunningCoordinator::TwoRanks("held"));
  ASSERT_TRUE(Control(job.id(), v1::JOB_ACTION_HOLD, "", "not yet").ok());
  EXPECT_TRUE(controlled_.job().held());
  EXPECT_EQ(controlled_.job().reason(), "waiting: on hold: not yet");
  ASSERT_TRUE(Control(job.id(), v1::JOB_ACTION_RELEASE).ok());
  EXPECT_FALSE(controlled_.job().held());
}

TEST_F(Requests, ScaleChangesTheMeshOrSaysWhyNot) {
  const v1::Job job = coordinator_.Submit(RunningCoordinator::TwoRanks("wide"));
  ASSERT_TRUE(Scale(job.id(), "data", 5).ok());
  EXPECT_EQ(scaled_.job().spec().mesh(0).size(), 5u);
  const grpc::Status refused = Scale(job.id(), "tensor", 2);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("it has no axis \"tensor\"; it has data"));
  EXPECT_EQ(Scale(99, "data", 2).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(Requests, AnArrayIsCancelledAsAWhole) {
  v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("sweep");
  request.mutable_spec()->mutable_schedule()->mutable_array()->set_count(3);
  v1::SubmitJobResponse submitted;
  ASSERT_TRUE(
      coordinator_.jobs->SubmitJob(RunningCoordinator::Context().get(), request, &submitted).ok());
  EXPECT_EQ(submitted.array_jobs(), 3u);
  EXPECT_EQ(submitted.job().spec().name(), "sweep-0");
  const uint64_t first = submitted.job().id();
  EXPECT_EQ(coordinator_.Job(first + 2).array_index(), 2u);
  v1::CancelJobRequest cancel;
  cancel.set_job_id(first + 1);
  cancel.set_array(true);
  v1::CancelJobResponse cancelled;
  ASSERT_TRUE(
      coordinator_.jobs->CancelJob(RunningCoordinator::Context().get(), cancel, &cancelled).ok());
  for (uint64_t id = first; id < first + 3; ++id) {
    EXPECT_EQ(coordinator_.Job(id).state(), v1::JOB_STATE_CANCELLED) << id;
  }
}

TEST_F(Requests, QueuesAreSetPausedAndListed) {
  v1::QueueSpec research;
  research.set_name("research");
  research.set_priority(3);
  research.set_weight(2);
  research.set_quota(4);
  ASSERT_TRUE(SetQueue(research).ok());
  EXPECT_EQ(set_.queue().spec().quota(), 4u);
  ASSERT_TRUE(PauseQueue("research", true, "maintenance").ok());
  v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("queued");
  request.mutable_spec()->mutable_schedule()->set_queue("research");
  EXPECT_EQ(coordinator_.Submit(request).reason(),
            "waiting: queue research is paused: maintenance");

  v1::ListQueuesResponse listed;
  ASSERT_TRUE(queues_->ListQueues(RunningCoordinator::Context().get(), {}, &listed).ok());
  ASSERT_EQ(listed.queues_size(), 2);
  EXPECT_EQ(listed.queues(0).spec().name(), "research");  // the higher priority first
  EXPECT_EQ(listed.queues(0).jobs_waiting(), 1u);
  EXPECT_THAT(listed.queues(0).head_reason(), HasSubstr("maintenance"));
  EXPECT_EQ(listed.queues(1).spec().name(), "default");
}

TEST_F(Requests, WhatCannotBeIsRefusedWithItsCode) {
  v1::QueueSpec bad;
  bad.set_name("research");
  EXPECT_EQ(SetQueue(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);  // weight 0
  bad.set_weight(1);
  bad.set_name("No Queue");
  EXPECT_EQ(SetQueue(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  bad.set_name(std::string(2'000, 'q'));
  EXPECT_EQ(SetQueue(bad).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(PauseQueue("nowhere", true).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Control(1, v1::JOB_ACTION_HOLD).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Control(1, v1::JOB_ACTION_UNSPECIFIED).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Control(1, v1::JOB_ACTION_HOLD, std::string(200, 'r')).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("lost");
  request.mutable_spec()->mutable_schedule()->set_queue("nowhere");
  v1::SubmitJobResponse response;
  const grpc::Status lost =
      coordinator_.jobs->SubmitJob(RunningCoordinator::Context().get(), request, &response);
  EXPECT_EQ(lost.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(lost.error_message(), HasSubstr("there are: default; create it with"));
}

}  // namespace
}  // namespace muster
