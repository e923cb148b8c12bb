// A coordinator in this process, on a free port, with a client.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/daemon/coordinator.h"
#include "muster/v1/cluster_service.grpc.pb.h"
#include "muster/v1/job_service.grpc.pb.h"
#include "tests/support/temp_folder.h"

namespace muster {

class RunningCoordinator {
 public:
  explicit RunningCoordinator(const std::string& state_path,
                              const std::string& metrics_listen = "") {
    coordinator::daemon::CoordinatorOptions options;
    options.listen = "127.0.0.1:0";
    options.metrics_listen = metrics_listen;
    options.state_path = state_path;
    auto started = coordinator::daemon::Coordinator::Start(options);
    CHECK(started.ok(), "{}", std::string(started.status().message()));
    daemon = std::move(*started);
    channel = grpc::CreateChannel(daemon->address(), grpc::InsecureChannelCredentials());
    jobs = v1::JobService::NewStub(channel);
    cluster = v1::ClusterService::NewStub(channel);
  }
  ~RunningCoordinator() {
    daemon->Stop();
    const absl::Status ended = daemon->Wait();
    EXPECT_TRUE(ended.ok()) << ended;
  }

  // A context with a deadline, as every client call must have.
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return context;
  }

  v1::Job Submit(const v1::SubmitJobRequest& request) {
    v1::SubmitJobResponse response;
    const grpc::Status status = jobs->SubmitJob(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  v1::Job Job(uint64_t id) {
    v1::GetJobRequest request;
    request.set_job_id(id);
    v1::GetJobResponse response;
    const grpc::Status status = jobs->GetJob(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  // Watches the job from `revision` until an event of this kind; returns what came before it too.
  std::vector<v1::JobEvent> WatchUntil(uint64_t job_id, uint64_t revision, v1::EventKind kind) {
    v1::WatchJobsRequest request;
    request.set_job_id(job_id);
    request.set_from_revision(revision);
    const auto context = Context();
    const auto stream = jobs->WatchJobs(context.get(), request);
    std::vector<v1::JobEvent> events;
    v1::JobEvent event;
    while (stream->Read(&event)) {
      events.push_back(event);
      if (event.kind() == kind) {
        context->TryCancel();
        (void)stream->Finish();
        return events;
      }
    }
    ADD_FAILURE() << "watch ended before event " << kind << ": "
                  << stream->Finish().error_message();
    return events;
  }

  static v1::SubmitJobRequest TwoRanks(const std::string& name) {
    v1::SubmitJobRequest request;
    request.mutable_spec()->set_name(name);
    v1::Axis* axis = request.mutable_spec()->add_mesh();
    axis->set_name("data");
    axis->set_size(2);
    request.mutable_spec()->mutable_resources()->set_slots_per_rank(1);
    request.mutable_spec()->mutable_program()->add_command("/bin/true");
    request.mutable_spec()->mutable_recovery()->set_attempts_without_progress(3);
    return request;
  }

  std::unique_ptr<coordinator::daemon::Coordinator> daemon;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::JobService::Stub> jobs;
  std::unique_ptr<v1::ClusterService::Stub> cluster;
};

}  // namespace muster
