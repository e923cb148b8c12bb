#include "worker/rpc/peer_server.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/status.h"
#include "muster/v1/peer.grpc.pb.h"
#include "worker/rpc/read_log.h"
#include "worker/rpc/run_after.h"
#include "worker/rpc/vault_service.h"

namespace muster::worker::rpc {
namespace {

constexpr int64_t kExchangeDefaultMs = 60'000;
constexpr int64_t kAnswerMarginMs = 500;  // so that our answer, with names, beats the deadline
constexpr int kMessageBytesMax = 512 << 20;

int64_t MsUntil(std::chrono::system_clock::time_point deadline) {
  const auto now = std::chrono::system_clock::now();
  if (deadline > now + std::chrono::milliseconds(kExchangeDefaultMs)) return kExchangeDefaultMs;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now).count();
  return std::max<int64_t>(0, left - kAnswerMarginMs);
}

class PeerService : public v1::Peer::CallbackService {
 public:
  PeerService(std::shared_ptr<ExchangeBoard> board, std::shared_ptr<const LiveRanks> live,
              std::string logs)
      : board_(std::move(board)), live_(std::move(live)), logs_(std::move(logs)) {}

  grpc::ServerUnaryReactor* Exchange(grpc::CallbackServerContext* context,
                                     const v1::ExchangeRequest* request,
                                     v1::ExchangeResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const int64_t limit_ms = MsUntil(context->deadline());
    const uint64_t waiter = board_->Contribute(
        *request,
        [reactor, response](const absl::Status& status, const v1::ExchangeResponse& result) {
          if (status.ok()) *response = result;
          reactor->Finish(
              {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())});
        });
    if (waiter != 0) RunAfter(limit_ms, [board = board_, waiter] { board->GiveUp(waiter); });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::ReadLogResponse>* ReadLog(
      grpc::CallbackServerContext*, const v1::ReadLogRequest* request) override {
    return StartReadLog(*request, logs_, live_);
  }

 private:
  const std::shared_ptr<ExchangeBoard> board_;
  const std::shared_ptr<const LiveRanks> live_;
  const std::string logs_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PeerServer>> PeerServer::Listen(
    const std::string& address, std::shared_ptr<ExchangeBoard> board,
    std::shared_ptr<const LiveRanks> live, const std::string& logs, vault::Intake& intake) {
  std::unique_ptr<PeerServer> peer(new PeerServer);
  peer->service_ = std::make_unique<PeerService>(std::move(board), std::move(live), logs);
  peer->vault_ = std::make_unique<VaultService>(intake);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  // Two workers on one port would share its connections without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &peer->port_);
  builder.RegisterService(peer->service_.get());
  builder.RegisterService(peer->vault_.get());
  peer->server_ = builder.BuildAndStart();
  if (!peer->server_ || peer->port_ == 0) {
    return Unavailable(
        "listen on {}: the port is in use or the address is not of this machine; "
        "choose another with --listen (port 0 takes a free one)",
        address);
  }
  return peer;
}

PeerServer::~PeerServer() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace muster::worker::rpc
