// Both kinds of watches, over gRPC.
#include "coordinator/rpc/watches.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>

#include "coordinator/rpc/incident_service.h"
#include "coordinator/rpc/job_service.h"
#include "coordinator/rpc/server.h"
#include "tests/unit/coordinator_rpc/failed_jobs.h"

namespace muster::coordinator::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kQueueMax = 16;
const std::string kLarge(64 << 10, 'x');  // the connection takes only a few unread

struct Jobs {
  using Kind = JobEvents;
  using Service = v1::JobService;

  static v1::JobEvent Large(uint64_t revision, uint64_t job = 1) {
    v1::JobEvent event;
    event.set_revision(revision);
    event.set_job_id(job);
    event.set_kind(v1::EVENT_KIND_FAILURE);
    event.set_text(kLarge);
    return event;
  }
  static std::unique_ptr<grpc::ClientReader<v1::JobEvent>> Open(
      Service::Stub& stub, grpc::ClientContext* context, const v1::WatchJobsRequest& request) {
    return stub.WatchJobs(context, request);
  }
  static uint64_t JobOf(const v1::JobEvent& event) { return event.job_id(); }

  explicit Jobs(Mailbox* mailbox, PendingReplies* replies, JobWatches* watches)
      : service(mailbox, replies, watches) {}
  JobService service;
};

struct Incidents {
  using Kind = IncidentChanges;
  using Service = v1::IncidentService;

  static v1::Incident Large(uint64_t revision, uint64_t job = 1) {
    v1::Incident incident;
    incident.set_revision(revision);
    incident.add_jobs()->set_job_id(job);
    incident.set_text(kLarge);
    return incident;
  }
  static std::unique_ptr<grpc::ClientReader<v1::Incident>> Open(
      Service::Stub& stub, grpc::ClientContext* context, const v1::WatchIncidentsRequest& request) {
    return stub.WatchIncidents(context, request);
  }
  static uint64_t JobOf(const v1::Incident& incident) { return incident.jobs(0).job_id(); }

  explicit Incidents(Mailbox* mailbox, PendingReplies* replies, IncidentWatches* watches)
      : service(mailbox, replies, watches) {}
  IncidentService service;
};

template <typename Watched>
class WatchesTest : public ::testing::Test {
 protected:
  using Kind = typename Watched::Kind;
  using Message = typename Kind::Message;

  WatchesTest() {
    auto started = StartServer("127.0.0.1:0", {&watched_.service});
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = std::move(started->server);
    stub_ = Watched::Service::NewStub(
        grpc::CreateChannel(started->address, grpc::InsecureChannelCredentials()));
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }
  ~WatchesTest() override {
    context_.TryCancel();
    server_->Shutdown();
    server_->Wait();
  }

  // Plays the loop's part: asks the cluster, delivers the answer.
  void Watch(const core::Cluster& cluster, uint64_t from_revision, uint64_t job_id = 0) {
    typename Kind::Request request;
    request.set_from_revision(from_revision);
    request.set_job_id(job_id);
    stream_ = Watched::Open(*stub_, &context_, request);
    for (Letter& letter : mailbox_.Take(absl::Seconds(30))) std::get<Question>(letter)(cluster)();
  }
  // From now on, in a cluster without a past.
  void Watch() {
    Watch(core::Cluster(core::Options()), 0);
    EXPECT_EQ(watches_.count(), 1u);
  }

  // All up to the message of this revision; without it where the stream ends before.
  std::vector<Message> ReadTo(uint64_t revision) {
    std::vector<Message> all;
    Message message;
    while (stream_->Read(&message)) {
      all.push_back(message);
      if (message.revision() == revision) break;
    }
    return all;
  }
  std::vector<Message> ReadAll() {
    std::vector<Message> all;
    Message message;
    while (stream_->Read(&message)) all.push_back(message);
    return all;
  }

  Mailbox mailbox_{10};
  PendingReplies replies_;
  Watches<Kind> watches_{kQueueMax};
  Watched watched_{&mailbox_, &replies_, &watches_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<typename Watched::Service::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Message>> stream_;
};

using Kinds = ::testing::Types<Jobs, Incidents>;
TYPED_TEST_SUITE(WatchesTest, Kinds);

TYPED_TEST(WatchesTest, SlowReaderIsToldFromWhereToResumeAndMissesNothing) {
  this->Watch();
  for (uint64_t revision = 1; revision <= 200; ++revision) {
    this->watches_.Publish({TypeParam::Large(revision)});
  }
  const auto read = this->ReadAll();
  const grpc::Status status = this->stream_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const std::string message = status.error_message();
  const size_t at = message.find("from_revision ");
  ASSERT_NE(at, std::string::npos) << message;
  const uint64_t resume = std::stoull(message.substr(at + 14));
  ASSERT_FALSE(read.empty());
  EXPECT_LE(resume, read.back().revision());
  for (size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i].revision(), i + 1);
}

TYPED_TEST(WatchesTest, ReaderThatHangsUpIsForgotten) {
  this->Watch();
  this->context_.TryCancel();
  this->ReadAll();
  EXPECT_EQ(this->stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  this->server_->Shutdown();
  this->server_->Wait();
  EXPECT_EQ(this->watches_.count(), 0u);
  this->watches_.Publish({TypeParam::Large(1)});  // nobody is there
}

TYPED_TEST(WatchesTest, ResumesAfterARevisionAndGoesOnWithWhatIsPublished) {
  FailedJobs past{core::Options()};
  past.FailOne();
  const uint64_t seen = past.cluster().revision();
  past.FailOne();
  past.FailOne();
  this->Watch(past.cluster(), seen);
  const uint64_t newest = past.cluster().revision();
  this->watches_.Publish({TypeParam::Large(newest + 1)});
  std::vector<uint64_t> revisions;
  for (const auto& message : this->ReadTo(newest + 1)) revisions.push_back(message.revision());
  this->watches_.CloseAll(absl::UnavailableError("over"));
  EXPECT_TRUE(this->ReadAll().empty());
  EXPECT_EQ(this->stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  ASSERT_GE(revisions.size(), 3u);
  EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
  EXPECT_GT(revisions.front(), seen);
  EXPECT_EQ(revisions.back(), newest + 1);
}

TYPED_TEST(WatchesTest, OfOneJobOnlyItsOwn) {
  FailedJobs past{core::Options()};
  for (int i = 0; i < 3; ++i) past.FailOne();
  this->Watch(past.cluster(), 1, 2);
  const uint64_t newest = past.cluster().revision();
  this->watches_.Publish({TypeParam::Large(newest + 1, 1), TypeParam::Large(newest + 2, 2)});
  const auto read = this->ReadTo(newest + 2);
  ASSERT_GE(read.size(), 2u);
  EXPECT_EQ(read.back().revision(), newest + 2);
  for (const auto& message : read) EXPECT_EQ(TypeParam::JobOf(message), 2u);
}

TYPED_TEST(WatchesTest, BacklogMayBeLongerThanTheQueue) {
  FailedJobs past{core::Options()};
  for (size_t i = 0; i < 2 * kQueueMax; ++i) past.FailOne();
  this->Watch(past.cluster(), 1);
  const uint64_t newest = past.cluster().revision();
  this->watches_.Publish({TypeParam::Large(newest + 1)});
  const auto read = this->ReadTo(newest + 1);
  EXPECT_GT(read.size(), 2 * kQueueMax);
  EXPECT_EQ(read.back().revision(), newest + 1);
}

TYPED_TEST(WatchesTest, TooOldARevisionIsRefusedWithWhatToDo) {
  core::Options forgetful;
  forgetful.events_kept = 3;
  forgetful.incidents_kept = 1;
  FailedJobs past{forgetful};
  for (int i = 0; i < 3; ++i) past.FailOne();
  this->Watch(past.cluster(), 1);
  EXPECT_TRUE(this->ReadAll().empty());
  const grpc::Status status = this->stream_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(status.error_message(), HasSubstr("watch from the revision the list returns"));
  EXPECT_EQ(this->watches_.count(), 0u);
}

TYPED_TEST(WatchesTest, UnknownJobIsRefused) {
  this->Watch(core::Cluster(core::Options()), 0, 99);
  EXPECT_TRUE(this->ReadAll().empty());
  EXPECT_EQ(this->stream_->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TYPED_TEST(WatchesTest, OneThatComesTooLateIsEndedLikeTheOthers) {
  this->watches_.CloseAll(absl::UnavailableError("over"));
  this->Watch(core::Cluster(core::Options()), 0);
  EXPECT_TRUE(this->ReadAll().empty());
  EXPECT_EQ(this->stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

using JobWatchesTest = WatchesTest<Jobs>;

TEST_F(JobWatchesTest, ProgressIsDroppedBeforeAnythingThatCounts) {
  Watch();
  const auto event = [](uint64_t revision, v1::EventKind kind) {
    v1::JobEvent large = Jobs::Large(revision);
    large.set_kind(kind);
    return large;
  };
  for (int i = 0; i < 200; ++i) watches_.Publish({event(5, v1::EVENT_KIND_WAITING)});
  watches_.Publish({event(6, v1::EVENT_KIND_ENDED)});
  int waiting = 0;
  v1::JobEvent read;
  while (stream_->Read(&read) && read.kind() != v1::EVENT_KIND_ENDED) ++waiting;
  EXPECT_EQ(read.kind(), v1::EVENT_KIND_ENDED);
  EXPECT_LT(waiting, 200);
  watches_.CloseAll(absl::UnavailableError("over"));
  EXPECT_FALSE(stream_->Read(&read));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

using IncidentWatchesTest = WatchesTest<Incidents>;

TEST_F(IncidentWatchesTest, WholeIncidentsInTheOrderOfTheirChanges) {
  FailedJobs past{core::Options()};
  for (int i = 0; i < 3; ++i) past.FailOne();
  Watch(past.cluster(), 1);
  std::vector<uint64_t> ids;
  for (const v1::Incident& incident : ReadTo(past.cluster().revision())) {
    ids.push_back(incident.id());
    EXPECT_EQ(incident.state(), v1::INCIDENT_STATE_FAILED);
    EXPECT_EQ(incident.evidence_size(), 1);
    EXPECT_GT(incident.end_unix_ms(), 0);
    EXPECT_THAT(incident.text(), HasSubstr("rank 0 on n1 exited 1"));
  }
  EXPECT_THAT(ids, ElementsAre(1u, 2u, 3u));
}

}  // namespace
}  // namespace muster::coordinator::rpc
