// A worker that a test plays by hand, over the real protocol.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "muster/v1/worker_gateway.grpc.pb.h"

namespace muster {

class FakeWorker {
 public:
  FakeWorker(const std::string& address, const std::string& node, uint64_t incarnation,
             uint32_t slots, const std::string& cluster_id = "");
  ~FakeWorker();

  // Says hello (with what still runs here) and reads the welcome; false when refused.
  bool Connect(const std::vector<v1::AttemptReport>& attempts = {});

  // Reads until a message of this kind arrives; nullopt when the stream ends first.
  std::optional<v1::CoordinatorMessage> Next(v1::CoordinatorMessage::MessageCase kind);
  // The same, and it fails the test when the stream ends first.
  v1::CoordinatorMessage Await(v1::CoordinatorMessage::MessageCase kind);

  void Say(const v1::WorkerMessage& message);
  // Every local rank of `start` in this state; exit code 0.
  void Report(const v1::StartRanks& start, v1::RankState state);
  static v1::AttemptReport ReportOf(const v1::StartRanks& start, const std::string& node,
                                    v1::RankState state, uint64_t number);

  // Ends the stream and returns its status.
  grpc::Status Finish();

  const v1::Welcome& welcome() const { return welcome_; }
  uint64_t epoch() const { return epoch_; }
  grpc::Channel& channel() { return *channel_; }

 private:
  v1::WorkerHello hello_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerGateway::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  v1::Welcome welcome_;
  uint64_t epoch_ = 0;
  uint64_t reports_ = 0;
  bool finished_ = false;
};

}  // namespace muster
