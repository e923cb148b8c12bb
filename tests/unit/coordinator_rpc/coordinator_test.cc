// The life of a job through a real server, with workers played by hand.
#include "coordinator/daemon/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/coordinator_rpc/fake_worker.h"
#include "tests/unit/coordinator_rpc/running_coordinator.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

std::vector<v1::EventKind> Kinds(const std::vector<v1::JobEvent>& events) {
  std::vector<v1::EventKind> kinds;
  for (const v1::JobEvent& event : events) kinds.push_back(event.kind());
  return kinds;
}

TEST(Coordinator, RunsAJobFromSubmitToSuccess) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2);
  ASSERT_TRUE(worker.Connect());
  EXPECT_FALSE(worker.welcome().cluster_id().empty());
  const v1::Job job = coordinator.Submit(RunningCoordinator::TwoRanks("life"));
  const v1::CoordinatorMessage order = worker.Await(v1::CoordinatorMessage::kStart);
  EXPECT_EQ(order.epoch(), worker.epoch());
  EXPECT_EQ(order.start().job_id(), job.id());
  EXPECT_EQ(order.start().share().ranks(), 2u);
  EXPECT_EQ(order.start().world_size(), 2u);

  worker.Report(order.start(), v1::RANK_STATE_RUNNING);
  coordinator.WatchUntil(job.id(), 1, v1::EVENT_KIND_RUNNING);
  EXPECT_EQ(coordinator.Job(job.id()).state(), v1::JOB_STATE_RUNNING);
  worker.Report(order.start(), v1::RANK_STATE_EXITED);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kRelease).release().attempt(), 1);
  coordinator.WatchUntil(job.id(), 1, v1::EVENT_KIND_ENDED);
  EXPECT_EQ(coordinator.Job(job.id()).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST(Coordinator, WatchFromARevisionGivesWhatCameAfterItAndNothingTwice) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2);
  ASSERT_TRUE(worker.Connect());
  const v1::Job job = coordinator.Submit(RunningCoordinator::TwoRanks("watched"));
  const v1::CoordinatorMessage order = worker.Await(v1::CoordinatorMessage::kStart);
  worker.Report(order.start(), v1::RANK_STATE_RUNNING);
  worker.Report(order.start(), v1::RANK_STATE_EXITED);
  const auto all = coordinator.WatchUntil(job.id(), 1, v1::EVENT_KIND_ENDED);
  ASSERT_GE(all.size(), 4);
  EXPECT_EQ(all.front().kind(), v1::EVENT_KIND_SUBMITTED);
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i].revision(), all[i - 1].revision());

  // Again, now all of it from memory, and then from the middle on.
  EXPECT_EQ(Kinds(coordinator.WatchUntil(job.id(), 1, v1::EVENT_KIND_ENDED)).size(),
            static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const auto& event) {
              return event.kind() != v1::EVENT_KIND_WAITING;
            })));
  const uint64_t placed = std::find_if(all.begin(), all.end(), [](const auto& event) {
                            return event.kind() == v1::EVENT_KIND_PLACED;
                          })->revision();
  for (const v1::JobEvent& event : coordinator.WatchUntil(job.id(), placed, v1::EVENT_KIND_ENDED)) {
    EXPECT_GT(event.revision(), placed);
  }
}

TEST(Coordinator, SameRequestIdSubmitsOnceAlsoAfterARestart) {
  TempFolder temp;
  v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("once");
  request.set_request_id("request-1");
  uint64_t id = 0;
  {
    RunningCoordinator coordinator(temp.path());
    id = coordinator.Submit(request).id();
    EXPECT_EQ(coordinator.Submit(request).id(), id);
  }
  RunningCoordinator coordinator(temp.path());
  EXPECT_EQ(coordinator.Submit(request).id(), id);
  v1::ListJobsResponse list;
  ASSERT_TRUE(coordinator.jobs->ListJobs(RunningCoordinator::Context().get(), {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 1);
}

TEST(Coordinator, ValidateOnlyChangesNothing) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("dry");
  request.set_validate_only(true);
  coordinator.Submit(request);
  v1::ListJobsResponse list;
  ASSERT_TRUE(coordinator.jobs->ListJobs(RunningCoordinator::Context().get(), {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 0);
}

TEST(Coordinator, RestartKeepsARunningJobAndItsWorkerGoesOn) {
  TempFolder temp;
  v1::CoordinatorMessage order;
  std::string cluster_id;
  uint64_t first_epoch = 0;
  uint64_t job_id = 0;
  {
    RunningCoordinator coordinator(temp.path());
    FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2);
    ASSERT_TRUE(worker.Connect());
    cluster_id = worker.welcome().cluster_id();
    first_epoch = worker.epoch();
    job_id = coordinator.Submit(RunningCoordinator::TwoRanks("survivor")).id();
    order = worker.Await(v1::CoordinatorMessage::kStart);
    worker.Report(order.start(), v1::RANK_STATE_RUNNING);
    coordinator.WatchUntil(job_id, 1, v1::EVENT_KIND_RUNNING);
  }
  RunningCoordinator coordinator(temp.path());
  EXPECT_EQ(coordinator.Job(job_id).state(), v1::JOB_STATE_RUNNING);
  FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2, cluster_id);
  ASSERT_TRUE(
      worker.Connect({FakeWorker::ReportOf(order.start(), "n1", v1::RANK_STATE_RUNNING, 9)}));
  EXPECT_EQ(worker.epoch(), first_epoch + 1);
  worker.Report(order.start(), v1::RANK_STATE_EXITED);
  coordinator.WatchUntil(job_id, 1, v1::EVENT_KIND_ENDED);
  const v1::Job job = coordinator.Job(job_id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1);
}

TEST(Coordinator, WorkerOfAnotherClusterIsSentAway) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2, "another");
  EXPECT_FALSE(worker.Connect());
  const grpc::Status status = worker.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("belongs to cluster another"));
}

TEST(Coordinator, StreamThatDoesNotStartWithAHelloIsEnded) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  const auto stub = v1::WorkerGateway::NewStub(coordinator.channel);
  const auto context = RunningCoordinator::Context();
  const auto stream = stub->Connect(context.get());
  v1::WorkerMessage message;
  message.mutable_heartbeat();
  stream->Write(message);
  v1::CoordinatorMessage answer;
  EXPECT_FALSE(stream->Read(&answer));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("first message must be its hello"));
}

TEST(Coordinator, SecondOneOnTheSameStateIsRefused) {
  TempFolder temp;
  RunningCoordinator first(temp.path());
  coordinator::daemon::CoordinatorOptions options;
  options.listen = "127.0.0.1:0";
  options.state_path = temp.path();
  const auto second = coordinator::daemon::Coordinator::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(first.daemon->address()));
}

TEST(Coordinator, PortInUseIsOneLineAndLeavesNoTrace) {
  TempFolder temp;
  RunningCoordinator first(temp.File("a"));
  coordinator::daemon::CoordinatorOptions options;
  options.listen = first.daemon->address();
  options.state_path = temp.File("b");
  const auto second = coordinator::daemon::Coordinator::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("Address already in use"));
  EXPECT_FALSE(std::filesystem::exists(temp.File("b/journal.db")));
}

}  // namespace
}  // namespace muster
