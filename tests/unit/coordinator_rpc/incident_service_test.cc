// Incidents through a real server: list, show, acknowledge, watch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "muster/v1/incident.grpc.pb.h"
#include "tests/unit/coordinator_rpc/fake_worker.h"
#include "tests/unit/coordinator_rpc/running_coordinator.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IncidentServiceTest : public testing::Test {
 protected:
  IncidentServiceTest() : stub_(v1::IncidentService::NewStub(coordinator_.channel)) {
    EXPECT_TRUE(worker_.Connect());
  }

  // Submits a job that is given up at its first failure, and lets its rank 1 fail. Its id.
  uint64_t FailJob(const std::string& name) {
    v1::SubmitJobRequest request = RunningCoordinator::TwoRanks(name);
    request.mutable_spec()->mutable_recovery()->set_attempts_without_progress(1);
    const uint64_t id = coordinator_.Submit(request).id();
    const v1::StartRanks start = worker_.Await(v1::CoordinatorMessage::kStart).start();
    v1::WorkerMessage message;
    v1::AttemptReport* report = message.mutable_report();
    *report = FakeWorker::ReportOf(start, "n1", v1::RANK_STATE_EXITED, 1000 + id);
    report->mutable_ranks(0)->set_signal(9);
    report->mutable_ranks(0)->set_stopped_by_us(true);
    report->mutable_ranks(1)->set_exit_code(3);
    report->mutable_ranks(1)->add_last_lines("ValueError: no such file");
    worker_.Say(message);
    coordinator_.WatchUntil(id, 1, v1::EVENT_KIND_ENDED);
    return id;
  }

  v1::ListIncidentsResponse List(const v1::ListIncidentsRequest& request = {}) {
    v1::ListIncidentsResponse response;
    const grpc::Status status =
        stub_->ListIncidents(RunningCoordinator::Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::vector<uint64_t> Listed(const v1::ListIncidentsRequest& request = {}) {
    std::vector<uint64_t> ids;
    const v1::ListIncidentsResponse listed = List(request);
    for (const v1::Incident& incident : listed.incidents()) ids.push_back(incident.id());
    return ids;
  }
  grpc::Status Show(uint64_t id) {
    v1::GetIncidentRequest request;
    request.set_incident_id(id);
    return stub_->GetIncident(RunningCoordinator::Context().get(), request, &shown_);
  }
  grpc::Status Ack(uint64_t id, const std::string& user, const std::string& note,
                   const std::string& request_id = "", bool validate_only = false) {
    v1::AckIncidentRequest request;
    request.set_incident_id(id);
    request.set_user(user);
    request.set_note(note);
    request.set_request_id(request_id);
    request.set_validate_only(validate_only);
    return stub_->AckIncident(RunningCoordinator::Context().get(), request, &acked_);
  }

  TempFolder temp_;
  RunningCoordinator coordinator_{temp_.path()};
  FakeWorker worker_{coordinator_.daemon->address(), "n1", 1, 2};
  std::unique_ptr<v1::IncidentService::Stub> stub_;
  v1::GetIncidentResponse shown_;
  v1::AckIncidentResponse acked_;
};

TEST_F(IncidentServiceTest, ListsNewestFirstInPagesAndByWhatIsAskedFor) {
  EXPECT_THAT(Listed(), ElementsAre());
  FailJob("first");
  const uint64_t second = FailJob("second");
  FailJob("third");
  EXPECT_THAT(Listed(), ElementsAre(3u, 2u, 1u));

  v1::ListIncidentsRequest pages;
  pages.set_page_size(2);
  const v1::ListIncidentsResponse page = List(pages);
  ASSERT_EQ(page.incidents_size(), 2);
  EXPECT_TRUE(page.incidents(0).evidence().empty()) << "the list is short";
  pages.set_page_token(page.next_page_token());
  EXPECT_THAT(Listed(pages), ElementsAre(1u));
  pages.set_page_token("none of ours");
  v1::ListIncidentsResponse refused;
  EXPECT_EQ(stub_->ListIncidents(RunningCoordinator::Context().get(), pages, &refused).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  v1::ListIncidentsRequest of_job;
  of_job.set_job_id(second);
  EXPECT_THAT(Listed(of_job), ElementsAre(2u));
  v1::ListIncidentsRequest of_node;
  of_node.set_node("n2");
  EXPECT_THAT(Listed(of_node), ElementsAre());
  v1::ListIncidentsRequest of_state;
  of_state.add_states(v1::INCIDENT_STATE_RESUMED);
  EXPECT_THAT(Listed(of_state), ElementsAre());
  of_state.add_states(v1::INCIDENT_STATE_FAILED);
  EXPECT_THAT(Listed(of_state), ElementsAre(3u, 2u, 1u));
}

TEST_F(IncidentServiceTest, ShowsWhatBrokeFirstWithItsEvidence) {
  const uint64_t job = FailJob("broken");
  ASSERT_TRUE(Show(1).ok());
  const v1::Incident& incident = shown_.incident();
  EXPECT_EQ(incident.state(), v1::INCIDENT_STATE_FAILED);
  EXPECT_EQ(incident.cause().rank(), 1u);
  EXPECT_EQ(incident.cause().node(), "n1");
  EXPECT_EQ(incident.cause().exit_code(), 3);
  ASSERT_GE(incident.evidence_size(), 1);
  EXPECT_EQ(incident.evidence(0).role(), v1::EVIDENCE_ROLE_ROOT);
  EXPECT_THAT(incident.evidence(0).last_lines(), ElementsAre("ValueError: no such file"));
  EXPECT_EQ(incident.blame(), v1::BLAME_PROGRAM);
  ASSERT_EQ(incident.jobs_size(), 1);
  EXPECT_EQ(incident.jobs(0).job_id(), job);
  EXPECT_THAT(incident.text(), HasSubstr("given up"));
  EXPECT_FALSE(incident.acknowledged());

  const grpc::Status unknown = Show(7);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), HasSubstr("muster incident list"));
}

TEST_F(IncidentServiceTest, AcknowledgedByWhomAndWithWhichNote) {
  FailJob("broken");
  ASSERT_TRUE(Ack(1, "ada", "new power supply ordered").ok());
  EXPECT_TRUE(acked_.incident().acknowledged());
  EXPECT_EQ(acked_.incident().acknowledged_by(), "ada");
  EXPECT_EQ(acked_.incident().note(), "new power supply ordered");
  v1::ListIncidentsRequest unseen;
  unseen.set_unacknowledged(true);
  EXPECT_THAT(Listed(unseen), ElementsAre());
  ASSERT_TRUE(Ack(1, "bob", "replaced").ok());  // the newest word stands
  ASSERT_TRUE(Show(1).ok());
  EXPECT_EQ(shown_.incident().acknowledged_by(), "bob");
  EXPECT_EQ(shown_.incident().note(), "replaced");
}

TEST_F(IncidentServiceTest, AckOfAnUnknownOneOrWithTooLongATextIsRefused) {
  const grpc::Status unknown = Ack(7, "ada", "");
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), HasSubstr("ack incident 7: there is none"));
  EXPECT_EQ(Ack(7, "ada", "", "", true).error_code(), grpc::StatusCode::NOT_FOUND);
  FailJob("broken");
  EXPECT_EQ(Ack(1, "ada", std::string(1 << 20, 'x')).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(Show(1).ok());
  EXPECT_FALSE(shown_.incident().acknowledged());
}

TEST_F(IncidentServiceTest, ValidateOnlyChangesNothing) {
  FailJob("broken");
  ASSERT_TRUE(Ack(1, "ada", "dry", "r1", true).ok());
  EXPECT_FALSE(acked_.incident().acknowledged());
  ASSERT_TRUE(Show(1).ok());
  EXPECT_FALSE(shown_.incident().acknowledged());
  ASSERT_TRUE(Ack(1, "ada", "wet", "r1").ok()) << "the dry run did not use the request id up";
  EXPECT_EQ(acked_.incident().note(), "wet");
}

TEST_F(IncidentServiceTest, ARepeatedRequestHasItsEffectOnce) {
  FailJob("first");
  FailJob("second");
  ASSERT_TRUE(Ack(1, "ada", "seen", "r1").ok());
  const uint64_t revision = acked_.incident().revision();
  ASSERT_TRUE(Ack(1, "bob", "seen too", "r2").ok());
  // The late copy of the first, and one that names another incident by mistake.
  for (const uint64_t id : {1u, 2u}) {
    ASSERT_TRUE(Ack(id, "ada", "seen", "r1").ok());
    EXPECT_EQ(acked_.incident().id(), 1u);
    EXPECT_EQ(acked_.incident().acknowledged_by(), "bob");
    EXPECT_GT(acked_.incident().revision(), revision);
  }
  ASSERT_TRUE(Show(2).ok());
  EXPECT_FALSE(shown_.incident().acknowledged());
  // An id that another call has used.
  v1::SubmitJobRequest submit = RunningCoordinator::TwoRanks("third");
  submit.set_request_id("r3");
  coordinator_.Submit(submit);
  EXPECT_FALSE(Ack(2, "ada", "", "r3").ok());
}

TEST_F(IncidentServiceTest, AWatchTellsOfEachChange) {
  const uint64_t revision = List().revision();
  FailJob("broken");
  v1::WatchIncidentsRequest request;
  request.set_from_revision(revision);
  const auto context = RunningCoordinator::Context();
  const auto stream = stub_->WatchIncidents(context.get(), request);
  v1::Incident incident;
  ASSERT_TRUE(stream->Read(&incident));
  EXPECT_EQ(incident.state(), v1::INCIDENT_STATE_FAILED);
  EXPECT_EQ(incident.cause().exit_code(), 3);
  ASSERT_TRUE(Ack(1, "ada", "seen").ok());
  ASSERT_TRUE(stream->Read(&incident));
  EXPECT_EQ(incident.acknowledged_by(), "ada");
  context->TryCancel();
}

}  // namespace
}  // namespace muster
