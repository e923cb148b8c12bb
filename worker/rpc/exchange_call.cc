#include "worker/rpc/exchange_call.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "common/status.h"
#include "muster/v1/peer.grpc.pb.h"
#include "worker/rpc/run_after.h"

namespace muster::worker::rpc {
namespace {

constexpr int64_t kRetryMs = 50;
constexpr int kMessageBytesMax = 512 << 20;

using Clock = std::chrono::system_clock;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return arguments;
}

// Keeps itself alive from one try to the next.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(const std::string& address, v1::ExchangeRequest request, ExchangeBoard::Answer answer,
       int64_t limit_ms)
      : address_(address),
        request_(std::move(request)),
        answer_(std::move(answer)),
        deadline_(Clock::now() + std::chrono::milliseconds(limit_ms)),
        stub_(v1::Peer::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments()))) {}

  void Try() {
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_deadline(deadline_);
    response_.Clear();
    stub_->async()->Exchange(
        context_.get(), &request_, &response_,
        [self = shared_from_this()](const grpc::Status& status) { self->OnAnswer(status); });
  }

 private:
  void OnAnswer(const grpc::Status& status) {
    const bool again = status.error_code() == grpc::StatusCode::NOT_FOUND ||
                       status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (again && Clock::now() + std::chrono::milliseconds(kRetryMs) < deadline_) {
      return RunAfter(kRetryMs, [self = shared_from_this()] { self->Try(); });
    }
    if (status.ok()) return answer_(absl::OkStatus(), response_);
    answer_(Annotate(absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                                  status.error_message()),
                     "exchange through the worker at " + address_),
            {});
  }

  const std::string address_;
  const v1::ExchangeRequest request_;
  const ExchangeBoard::Answer answer_;
  const Clock::time_point deadline_;
  const std::unique_ptr<v1::Peer::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  v1::ExchangeResponse response_;
};

}  // namespace

void CallExchange(const std::string& address, v1::ExchangeRequest request,
                  ExchangeBoard::Answer answer, int64_t limit_ms) {
  std::make_shared<Call>(address, std::move(request), std::move(answer), limit_ms)->Try();
}

void JoinExchangeHere(std::shared_ptr<ExchangeBoard> board, const v1::ExchangeRequest& request,
                      ExchangeBoard::Answer answer, int64_t limit_ms) {
  const uint64_t waiter = board->Contribute(request, std::move(answer));
  if (waiter == 0) return;
  RunAfter(limit_ms, [board = std::move(board), waiter] { board->GiveUp(waiter); });
}

}  // namespace muster::worker::rpc
