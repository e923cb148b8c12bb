#include "coordinator/rpc/watchers.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>

#include "coordinator/core/cluster.h"
#include "coordinator/rpc/job_service.h"
#include "coordinator/rpc/server.h"

namespace muster::coordinator::rpc {
namespace {

v1::JobEvent Event(uint64_t revision, v1::EventKind kind) {
  v1::JobEvent event;
  event.set_revision(revision);
  event.set_job_id(1);
  event.set_kind(kind);
  event.set_text(std::string(64 << 10, 'x'));  // large: the connection takes only a few unread
  return event;
}

class WatchersTest : public ::testing::Test {
 protected:
  WatchersTest() {
    auto started = StartServer("127.0.0.1:0", {&service_});
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = std::move(started->server);
    stub_ = v1::JobService::NewStub(
        grpc::CreateChannel(started->address, grpc::InsecureChannelCredentials()));
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_ = stub_->WatchJobs(&context_, {});
    // The loop's part: ask the cluster, deliver the answer.
    const core::Cluster cluster{core::Options()};
    for (Letter& letter : mailbox_.Take(absl::Seconds(30))) std::get<Question>(letter)(cluster)();
    EXPECT_EQ(watchers_.count(), 1);
  }
  ~WatchersTest() override {
    context_.TryCancel();
    server_->Shutdown();
    server_->Wait();
  }

  std::vector<v1::JobEvent> ReadAll() {
    std::vector<v1::JobEvent> events;
    v1::JobEvent event;
    while (stream_->Read(&event)) events.push_back(event);
    return events;
  }

  Mailbox mailbox_{10};
  PendingReplies replies_;
  Watchers watchers_{16};
  JobService service_{&mailbox_, &replies_, &watchers_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::JobService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::JobEvent>> stream_;
};

TEST_F(WatchersTest, SlowWatcherIsToldFromWhereToResumeAndMissesNothing) {
  for (uint64_t revision = 1; revision <= 200; ++revision) {
    watchers_.Publish({Event(revision, v1::EVENT_KIND_FAILURE)});
  }
  const std::vector<v1::JobEvent> events = ReadAll();
  const grpc::Status status = stream_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const std::string message = status.error_message();
  const size_t at = message.find("from_revision ");
  ASSERT_NE(at, std::string::npos) << message;
  const uint64_t resume = std::stoull(message.substr(at + 14));
  ASSERT_FALSE(events.empty());
  EXPECT_LE(resume, events.back().revision());
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].revision(), i + 1);
}

TEST_F(WatchersTest, ProgressIsDroppedBeforeAnythingThatCounts) {
  for (int i = 0; i < 200; ++i) {
    watchers_.Publish({Event(5, v1::EVENT_KIND_WAITING)});
  }
  watchers_.Publish({Event(6, v1::EVENT_KIND_ENDED)});
  int waiting = 0;
  v1::JobEvent event;
  while (stream_->Read(&event) && event.kind() != v1::EVENT_KIND_ENDED) ++waiting;
  EXPECT_EQ(event.kind(), v1::EVENT_KIND_ENDED);
  EXPECT_LT(waiting, 200);
  watchers_.CloseAll(absl::UnavailableError("over"));
  EXPECT_FALSE(stream_->Read(&event));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WatchersTest, WatcherThatHangsUpIsForgotten) {
  context_.TryCancel();
  ReadAll();
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown();
  server_->Wait();
  EXPECT_EQ(watchers_.count(), 0);
}

}  // namespace
}  // namespace muster::coordinator::rpc
