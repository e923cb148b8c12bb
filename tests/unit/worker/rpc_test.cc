// What a worker serves: exchanges and logs, over real gRPC in this process; and how it reconnects.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>

#include "muster/v1/peer.grpc.pb.h"
#include "worker/rpc/coordinator_link.h"
#include "worker/rpc/exchange_call.h"
#include "worker/rpc/log_file.h"
#include "worker/rpc/peer_server.h"

namespace muster::worker::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

core::AttemptKey Key(uint64_t job, uint64_t attempt) {
  return {JobId(job), AttemptNumber(attempt)};
}

struct Result {
  absl::Status status;
  v1::ExchangeResponse response;
};

class PeerTest : public ::testing::Test {
 protected:
  PeerTest() {
    char name[] = "/tmp/muster-peer-XXXXXX";
    logs_ = mkdtemp(name);
    auto server = PeerServer::Listen("127.0.0.1:0", board_, live_, logs_, intake_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = "127.0.0.1:" + std::to_string(server_->port());
  }
  ~PeerTest() override { std::filesystem::remove_all(logs_); }

  static v1::ExchangeRequest Request(uint32_t node, const std::string& blob,
                                     uint32_t participants = 2) {
    v1::ExchangeRequest request;
    request.set_job_id(7);
    request.set_attempt(1);
    request.set_key("k");
    request.set_node_index(node);
    request.set_participants(participants);
    request.set_blob(blob);
    return request;
  }

  std::future<Result> Call(const v1::ExchangeRequest& request, int64_t limit_ms = 30'000) {
    auto promise = std::make_shared<std::promise<Result>>();
    CallExchange(
        address_, request,
        [promise](absl::Status status, const v1::ExchangeResponse& response) {
          promise->set_value({std::move(status), response});
        },
        limit_ms);
    return promise->get_future();
  }

  void WriteLog(const std::string& name, const std::string& text) {
    const std::string folder = logs_ + "/a-3-b-7-c0ffee/1/0";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/" + name, std::ios::app) << text;
  }

  std::string ReadLog(v1::ReadLogRequest request, grpc::Status* status = nullptr,
                      std::function<void(const std::string&)> seen = nullptr) {
    request.set_job_id(7);
    request.set_attempt(1);
    request.set_stream(v1::LOG_STREAM_STDOUT);
    auto stub =
        v1::Peer::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    auto reader = stub->ReadLog(&context, request);
    v1::ReadLogResponse response;
    std::string text;
    while (reader->Read(&response)) {
      text += response.data();
      if (seen) seen(text);
    }
    const grpc::Status end = reader->Finish();
    if (status != nullptr) *status = end;
    return text;
  }

  std::string logs_;
  std::string address_;
  std::shared_ptr<ExchangeBoard> board_ = std::make_shared<ExchangeBoard>();
  std::shared_ptr<LiveRanks> live_ = std::make_shared<LiveRanks>();
  vault::Intake intake_{vault::Vault()};  // none
  std::unique_ptr<PeerServer> server_;
};

TEST_F(PeerTest, ExchangeAnswersEveryNodeInNodeOrder) {
  board_->Open(Key(7, 1), {"n1", "n2"});
  auto second = Call(Request(1, "b"));
  auto first = Call(Request(0, "a"));
  EXPECT_THAT(first.get().response.blobs(), ElementsAre("a", "b"));
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  board_->Over(Key(7, 1), "k", {"a", "b"});
  EXPECT_THAT(second.get().response.blobs(), ElementsAre("a", "b"));
  EXPECT_THAT(Call(Request(1, "b")).get().response.blobs(), ElementsAre("a", "b"));  // asked again
}

TEST_F(PeerTest, WhoMeetsWithoutTheFirstNodeWaitsForNobodyElse) {
  board_->Open(Key(7, 1), {"n1", "n2", "n3"});
  auto second = Call(Request(1, "b", 2));
  auto third = Call(Request(2, "c", 2));
  EXPECT_THAT(second.get().response.blobs(), ElementsAre("b", "c"));
  EXPECT_THAT(third.get().response.blobs(), ElementsAre("b", "c"));
}

TEST_F(PeerTest, DeadlineNamesAFirstNodeThatDoesNotTakeTheResult) {
  board_->Open(Key(7, 1), {"n1", "n2"});
  auto second = Call(Request(1, "b"), 1000);
  EXPECT_TRUE(Call(Request(0, "a")).get().status.ok());
  EXPECT_THAT(std::string(second.get().status.message()), HasSubstr("n1 has not taken the result"));
}

TEST_F(PeerTest, ExchangeIsTriedAgainWhileTheAttemptIsUnknown) {
  auto first = Call(Request(0, "a", 1));
  EXPECT_EQ(first.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  board_->Open(Key(7, 1), {"n1"});
  EXPECT_THAT(first.get().response.blobs(), ElementsAre("a"));
}

TEST_F(PeerTest, StoppedAttemptAbortsItsExchanges) {
  board_->Open(Key(7, 1), {"n1", "n2"});
  auto waiting = Call(Request(0, "a"));
  board_->Close(Key(7, 1));
  EXPECT_EQ(waiting.get().status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Call(Request(1, "b")).get().status.code(), absl::StatusCode::kAborted);
}

TEST_F(PeerTest, DeadlineNamesTheNodesThatAreMissing) {
  board_->Open(Key(7, 1), {"n1", "n2", "n3"});
  const Result result = Call(Request(0, "a", 3), 1000).get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("missing: n[2-3]"));
}

TEST(ExchangeBoard, RepeatedContributionReplaces) {
  ExchangeBoard board;
  board.Open(Key(7, 1), {"n1", "n2"});
  std::vector<std::string> got;
  const auto answer = [&](absl::Status status, const v1::ExchangeResponse& response) {
    ASSERT_TRUE(status.ok()) << status;
    got.assign(response.blobs().begin(), response.blobs().end());
  };
  v1::ExchangeRequest request;
  request.set_job_id(7);
  request.set_attempt(1);
  request.set_participants(2);
  request.set_blob("old");
  EXPECT_NE(board.Contribute(request, answer), 0u);
  request.set_blob("new");
  EXPECT_NE(board.Contribute(request, answer), 0u);
  request.set_node_index(1);
  request.set_blob("b");
  EXPECT_NE(board.Contribute(request, answer), 0u) << "the first node is told first";
  EXPECT_THAT(got, ElementsAre("new", "b"));
  got.clear();
  board.Over(Key(7, 1), "", {"new", "b"});
  EXPECT_THAT(got, ElementsAre("new", "b"));
}

// The worker where nodes meet was killed when the first node had the result and others had not: the
// next one gets it from the first node's shim.
TEST(ExchangeBoard, AResultThatTheFirstNodeHasIsToldToWhoAsksAgain) {
  ExchangeBoard board;
  std::vector<std::string> got;
  const auto answer = [&](absl::Status status, const v1::ExchangeResponse& response) {
    ASSERT_TRUE(status.ok()) << status;
    got.insert(got.end(), response.blobs().begin(), response.blobs().end());
  };
  v1::ExchangeRequest request;
  request.set_job_id(7);
  request.set_attempt(1);
  request.set_key("k");
  request.set_participants(3);
  board.Over(Key(7, 1), "k", {"a", "b", "c"});  // it does not know the attempt yet
  board.Open(Key(7, 1), {"n1", "n2", "n3"});
  request.set_node_index(1);
  request.set_blob("b");
  EXPECT_NE(board.Contribute(request, answer), 0u);
  EXPECT_THAT(got, ElementsAre());
  board.Over(Key(7, 1), "k", {"a", "b", "c"});
  EXPECT_THAT(got, ElementsAre("a", "b", "c"));
  request.set_node_index(2);
  request.set_blob("c");
  EXPECT_EQ(board.Contribute(request, answer), 0u);
  EXPECT_THAT(got, ElementsAre("a", "b", "c", "a", "b", "c"));
}

TEST(ExchangeBoard, RefusesWhatCannotBe) {
  ExchangeBoard board;
  board.Open(Key(7, 1), {"n1", "n2"});
  const struct {
    const char* name;
    uint32_t node;
    uint32_t participants;
  } cases[] = {{"nobody takes part", 0, 0}, {"more than nodes", 0, 3}, {"no such node", 2, 2}};
  for (const auto& one : cases) {
    v1::ExchangeRequest request;
    request.set_job_id(7);
    request.set_attempt(1);
    request.set_node_index(one.node);
    request.set_participants(one.participants);
    absl::Status got;
    EXPECT_EQ(board.Contribute(request, [&](absl::Status s, const auto&) { got = s; }), 0u);
    EXPECT_EQ(got.code(), absl::StatusCode::kInvalidArgument) << one.name;
  }
}

TEST_F(PeerTest, LogIsReadAcrossItsRotatedHalf) {
  WriteLog("stdout.log.1", "one\ntwo\n");
  WriteLog("stdout.log", "three\nfour\n");
  v1::ReadLogRequest request;
  EXPECT_EQ(ReadLog(request), "one\ntwo\nthree\nfour\n");
  request.set_offset(4);
  EXPECT_EQ(ReadLog(request), "two\nthree\nfour\n");
  request.set_offset(10);
  EXPECT_EQ(ReadLog(request), "ree\nfour\n");
  request.set_offset(1000);
  EXPECT_EQ(ReadLog(request), "");
}

TEST_F(PeerTest, TailCountsLines) {
  WriteLog("stdout.log.1", "one\ntwo\n");
  WriteLog("stdout.log", "three\nfour");
  v1::ReadLogRequest request;
  const std::string tails[] = {"", "four", "three\nfour", "two\nthree\nfour"};
  for (int lines = 1; lines <= 3; ++lines) {
    request.set_tail_lines(lines);
    EXPECT_EQ(ReadLog(request), tails[lines]);
  }
  request.set_tail_lines(100);
  EXPECT_EQ(ReadLog(request), "one\ntwo\nthree\nfour");
}

TEST_F(PeerTest, FollowSendsWhatComesThroughARotationUntilTheRankEnds) {
  live_->Publish(Key(7, 1), {0});
  WriteLog("stdout.log", "one\n");
  const std::string log = logs_ + "/a-3-b-7-c0ffee/1/0/stdout.log";
  v1::ReadLogRequest request;
  request.set_follow(true);
  const std::string text = ReadLog(request, nullptr, [&](const std::string& so_far) {
    if (so_far == "one\n") {
      WriteLog("stdout.log", "two\n");
      std::filesystem::rename(log, log + ".1");
      WriteLog("stdout.log", "three\n");
    } else if (so_far == "one\ntwo\nthree\n") {
      WriteLog("stdout.log", "last\n");
      live_->Publish(Key(7, 1), {});
    }
  });
  EXPECT_EQ(text, "one\ntwo\nthree\nlast\n");
}

TEST_F(PeerTest, NoSuchLogSaysWhereToLook) {
  grpc::Status status;
  EXPECT_EQ(ReadLog({}, &status), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("ask the node the rank ran on"));
  WriteLog("stdout.log", "x");
  v1::ReadLogRequest request;
  request.set_rank(5);
  ReadLog(request, &status);
  EXPECT_THAT(status.error_message(), HasSubstr("rank 5 of attempt 7.1"));
}

TEST(ReconnectDelay, DoublesToTwoSecondsAndAddsItsShareOfTheJitter) {
  ReconnectDelay delay;
  const int64_t want[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
  for (const int64_t ms : want) EXPECT_EQ(delay.NextMs(0, 0.5), ms);
  EXPECT_EQ(delay.NextMs(1000, 0.5), 2500);
  delay.Reset();
  EXPECT_EQ(delay.NextMs(0, 0), 50);
}

TEST(CoordinatorAddress, FileIsReadAnew) {
  char name[] = "/tmp/muster-address-XXXXXX";
  close(mkstemp(name));
  const auto address = CoordinatorAddress::FromFile(name);
  EXPECT_FALSE(address.Read().ok());
  std::ofstream(name) << "h:1\n";
  EXPECT_EQ(address.Read().value(), "h:1");
  std::ofstream(name) << "h:2\n";
  EXPECT_EQ(address.Read().value(), "h:2");
  std::filesystem::remove(name);
}

}  // namespace
}  // namespace muster::worker::rpc
