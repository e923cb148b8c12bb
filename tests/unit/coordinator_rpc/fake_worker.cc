#include "tests/unit/coordinator_rpc/fake_worker.h"

#include <gtest/gtest.h>

#include <chrono>

namespace muster {

FakeWorker::FakeWorker(const std::string& address, const std::string& node, uint64_t incarnation,
                       uint32_t slots, const std::string& cluster_id)
    : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
      stub_(v1::WorkerGateway::NewStub(channel_)) {
  hello_.set_node(node);
  hello_.set_incarnation(incarnation);
  hello_.set_slots(slots);
  hello_.set_cluster_id(cluster_id);
  hello_.set_peer_address("127.0.0.1:1");
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  context_.set_wait_for_ready(true);
}

FakeWorker::~FakeWorker() {
  if (stream_ != nullptr && !finished_) {
    context_.TryCancel();
    (void)stream_->Finish();
  }
}

bool FakeWorker::Connect(const std::vector<v1::AttemptReport>& attempts) {
  for (const v1::AttemptReport& report : attempts) *hello_.add_attempts() = report;
  stream_ = stub_->Connect(&context_);
  v1::WorkerMessage message;
  *message.mutable_hello() = hello_;
  stream_->Write(message);
  v1::CoordinatorMessage answer;
  if (!stream_->Read(&answer)) return false;
  EXPECT_TRUE(answer.has_welcome()) << answer.ShortDebugString();
  welcome_ = answer.welcome();
  epoch_ = answer.epoch();
  return true;
}

std::optional<v1::CoordinatorMessage> FakeWorker::Next(v1::CoordinatorMessage::MessageCase kind) {
  v1::CoordinatorMessage message;
  while (stream_->Read(&message)) {
    if (message.message_case() == kind) return message;
    // Heartbeats are due while it waits; one per message is plenty.
    v1::WorkerMessage heartbeat;
    heartbeat.mutable_heartbeat();
    Say(heartbeat);
  }
  return std::nullopt;
}

v1::CoordinatorMessage FakeWorker::Await(v1::CoordinatorMessage::MessageCase kind) {
  if (auto message = Next(kind)) return *std::move(message);
  ADD_FAILURE() << "stream ended while waiting for message " << kind << ": "
                << Finish().error_message();
  return {};
}

void FakeWorker::Say(const v1::WorkerMessage& message) { stream_->Write(message); }

v1::AttemptReport FakeWorker::ReportOf(const v1::StartRanks& start, const std::string& node,
                                       v1::RankState state, uint64_t number) {
  v1::AttemptReport report;
  report.set_job_id(start.job_id());
  report.set_attempt(start.attempt());
  report.set_state(state == v1::RANK_STATE_EXITED ? v1::LOCAL_ATTEMPT_STATE_STOPPED
                                                  : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  report.set_report(number);
  EXPECT_EQ(start.share().node(), node);
  for (uint32_t i = 0; i < start.share().ranks(); ++i) {
    v1::RankReport* rank = report.add_ranks();
    rank->set_rank(start.share().first_rank() + i);
    rank->set_state(state);
    rank->set_pid(1'000 + rank->rank());
  }
  return report;
}

void FakeWorker::Report(const v1::StartRanks& start, v1::RankState state) {
  v1::WorkerMessage message;
  *message.mutable_report() = ReportOf(start, hello_.node(), state, ++reports_);
  Say(message);
}

grpc::Status FakeWorker::Finish() {
  finished_ = true;
  stream_->WritesDone();
  return stream_->Finish();
}

}  // namespace muster
