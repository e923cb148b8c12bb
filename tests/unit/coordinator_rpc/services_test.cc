// What stands around the jobs: health, reflection, metrics, backup, limits, overload.
#include <gmock/gmock.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coordinator/journal/sqlite_journal.h"
#include "coordinator/rpc/server.h"
#include "coordinator/rpc/worker_gateway.h"
#include "tests/unit/coordinator_rpc/fake_worker.h"
#include "tests/unit/coordinator_rpc/running_coordinator.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A unary call by name with bytes, as a client without our headers would make it.
class RawCall {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
          const std::string& request) {
    grpc::internal::RpcMethod rpc(method.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, channel);
    const auto context = RunningCoordinator::Context();
    grpc::Slice slice(request);
    const grpc::ByteBuffer sent(&slice, 1);
    grpc::ByteBuffer received;
    grpc::internal::BlockingUnaryCallImpl<grpc::ByteBuffer, grpc::ByteBuffer> call(
        channel.get(), rpc, context.get(), sent, &received);
    status = call.status();
    grpc::Slice whole;
    if (status.ok() && received.DumpToSingleSlice(&whole).ok()) {
      response.assign(reinterpret_cast<const char*>(whole.begin()), whole.size());
    }
  }
  grpc::Status status;
  std::string response;
};

TEST(Services, HealthSaysServing) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  const RawCall check(coordinator.channel, "/grpc.health.v1.Health/Check", "");
  ASSERT_TRUE(check.status.ok()) << check.status.error_message();
  EXPECT_EQ(check.response, std::string("\x08\x01", 2));  // field 1 = SERVING
}

TEST(Services, ReflectionListsThem) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  grpc::internal::RpcMethod method("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                   grpc::internal::RpcMethod::BIDI_STREAMING, coordinator.channel);
  const auto context = RunningCoordinator::Context();
  const std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          coordinator.channel.get(), method, context.get()));
  grpc::Slice request(std::string("\x3a\x00", 2));  // field 7, list_services: ""
  stream->Write(grpc::ByteBuffer(&request, 1));
  grpc::ByteBuffer answer;
  ASSERT_TRUE(stream->Read(&answer));
  grpc::Slice whole;
  ASSERT_TRUE(answer.DumpToSingleSlice(&whole).ok());
  const std::string text(reinterpret_cast<const char*>(whole.begin()), whole.size());
  for (const char* service :
       {"muster.v1.JobService", "muster.v1.QueueService", "muster.v1.ClusterService",
        "muster.v1.WorkerGateway", "grpc.health.v1.Health"}) {
    EXPECT_THAT(text, HasSubstr(service));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(Services, MetricsNameNodesSlotsAndJobs) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  FakeWorker worker(coordinator.daemon->address(), "n1", 1, 2);
  ASSERT_TRUE(worker.Connect());
  coordinator.Submit(RunningCoordinator::TwoRanks("measured"));
  worker.Await(v1::CoordinatorMessage::kStart);
  v1::GetMetricsResponse response;
  ASSERT_TRUE(
      coordinator.cluster->GetMetrics(RunningCoordinator::Context().get(), {}, &response).ok());
  EXPECT_THAT(response.text(),
              AllOf(HasSubstr("muster_nodes{state=\"ready\"} 1\n"), HasSubstr("muster_slots 2\n"),
                    HasSubstr("muster_slots_used 2\n"), HasSubstr("muster_epoch 1\n"),
                    HasSubstr("muster_jobs{state=\"starting\"} 1\n"),
                    HasSubstr("muster_job_attempts{job=\"1\",name=\"measured\"} 1\n"),
                    HasSubstr("muster_sessions 1\n"),
                    HasSubstr("muster_journal_append_seconds_bucket{le=\"+Inf\"}")));
}

TEST(Services, MetricsAreServedOverPlainHttp) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path(), "127.0.0.1:0");
  const std::string& address = coordinator.daemon->metrics_address();
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char bytes[4'096];
  for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;) {
    answer.append(bytes, static_cast<size_t>(n));
  }
  close(fd);
  EXPECT_THAT(answer, AllOf(HasSubstr("HTTP/1.1 200 OK"), HasSubstr("version=0.0.4"),
                            HasSubstr("\nmuster_epoch 1\n")));
}

TEST(Services, BackupIsAJournalOfTheSameRecords) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.File("state"));
  coordinator.Submit(RunningCoordinator::TwoRanks("kept"));
  v1::BackupStateRequest request;
  request.set_path(temp.File("backup.db"));
  v1::BackupStateResponse response;
  grpc::Status status =
      coordinator.cluster->BackupState(RunningCoordinator::Context().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.bytes(), std::filesystem::file_size(request.path()));
  auto copy = coordinator::journal::SqliteJournal::Open(request.path());
  ASSERT_TRUE(copy.ok()) << copy.status();
  bool submitted = false;
  const auto records = (*copy)->Replay(
      [&](const v1::Record& record) { submitted = submitted || record.has_job_submitted(); });
  EXPECT_EQ(records.value(), response.records());
  EXPECT_TRUE(submitted);

  status =
      coordinator.cluster->BackupState(RunningCoordinator::Context().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  request.set_path("relative.db");
  status =
      coordinator.cluster->BackupState(RunningCoordinator::Context().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Services, ErrorsKeepTheirCanonicalCode) {
  TempFolder temp;
  RunningCoordinator coordinator(temp.path());
  struct Case {
    const char* name;
    std::function<grpc::Status()> call;
    grpc::StatusCode code;
  };
  const auto submit = [&](const std::function<void(v1::SubmitJobRequest&)>& change) {
    v1::SubmitJobRequest request = RunningCoordinator::TwoRanks("bad");
    change(request);
    v1::SubmitJobResponse response;
    return coordinator.jobs->SubmitJob(RunningCoordinator::Context().get(), request, &response);
  };
  const Case cases[] = {
      {"a job that does not exist",
       [&] {
         v1::GetJobRequest request;
         request.set_job_id(99);
         v1::GetJobResponse response;
         return coordinator.jobs->GetJob(RunningCoordinator::Context().get(), request, &response);
       },
       grpc::StatusCode::NOT_FOUND},
      {"a watch of a job that does not exist",
       [&] {
         v1::WatchJobsRequest request;
         request.set_job_id(99);
         const auto context = RunningCoordinator::Context();
         const auto stream = coordinator.jobs->WatchJobs(context.get(), request);
         v1::JobEvent event;
         EXPECT_FALSE(stream->Read(&event));
         return stream->Finish();
       },
       grpc::StatusCode::NOT_FOUND},
      {"a submit without a spec", [&] { return submit([](auto& r) { r.clear_spec(); }); },
       grpc::StatusCode::INVALID_ARGUMENT},
      {"a name that cannot be one",
       [&] { return submit([](auto& r) { r.mutable_spec()->set_name("No Good"); }); },
       grpc::StatusCode::INVALID_ARGUMENT},
      {"a request_id that is too long",
       [&] { return submit([](auto& r) { r.set_request_id(std::string(129, 'x')); }); },
       grpc::StatusCode::INVALID_ARGUMENT},
      {"a spec that is too large",
       [&] {
         return submit([](auto& r) {
           r.mutable_spec()->mutable_program()->add_command(std::string(300'000, 'x'));
         });
       },
       grpc::StatusCode::INVALID_ARGUMENT},
      {"an admission that cannot be asked for",
       [&] {
         v1::SetNodeAdmissionRequest request;
         request.set_node("n1");
         request.set_admission(v1::NODE_ADMISSION_DRAINED);
         v1::SetNodeAdmissionResponse response;
         return coordinator.cluster->SetNodeAdmission(RunningCoordinator::Context().get(), request,
                                                      &response);
       },
       grpc::StatusCode::INVALID_ARGUMENT},
  };
  for (const Case& c : cases) {
    const grpc::Status status = c.call();
    EXPECT_EQ(status.error_code(), c.code) << c.name << ": " << status.error_message();
    EXPECT_FALSE(status.error_message().empty()) << c.name;
  }
}

// A worker that never reads: its queue fills, and it is told to start over.
TEST(WorkerGateway, WorkerThatDoesNotReadIsEndedAndTheCoreHearsOfIt) {
  coordinator::rpc::Mailbox mailbox(100);
  coordinator::rpc::WorkerGateway gateway(&mailbox, {.queue_messages_max = 8});
  auto running = coordinator::rpc::StartServer("127.0.0.1:0", {&gateway});
  ASSERT_TRUE(running.ok()) << running.status();
  const auto channel = grpc::CreateChannel(running->address, grpc::InsecureChannelCredentials());
  const auto stub = v1::WorkerGateway::NewStub(channel);
  const auto context = RunningCoordinator::Context();
  const auto stream = stub->Connect(context.get());
  v1::WorkerMessage hello;
  hello.mutable_hello()->set_node("n1");
  stream->Write(hello);
  auto letters = mailbox.Take(absl::Seconds(30));
  ASSERT_EQ(letters.size(), 1);
  const SessionId session =
      std::get<coordinator::core::WorkerConnected>(std::get<coordinator::core::Input>(letters[0]))
          .session;
  v1::CoordinatorMessage big;
  big.mutable_stop()->set_reason(std::string(1 << 20, 'x'));
  for (int i = 0; i < 40; ++i) gateway.Send(session, big);

  v1::CoordinatorMessage received;
  int count = 0;
  while (stream->Read(&received)) ++count;
  EXPECT_LT(count, 40);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  letters = mailbox.Take(absl::Seconds(30));
  ASSERT_EQ(letters.size(), 1);
  EXPECT_EQ(std::get<coordinator::core::WorkerDisconnected>(
                std::get<coordinator::core::Input>(letters[0]))
                .session,
            session);
  running->server->Shutdown();
  running->server->Wait();
}

}  // namespace
}  // namespace muster
