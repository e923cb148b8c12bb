#include "worker/rpc/coordinator_link.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/status.h"
#include "muster/v1/worker_gateway.grpc.pb.h"

namespace muster::worker::rpc {
namespace {

constexpr int64_t kFirstDelayMs = 50;
constexpr int64_t kDelayMaxMs = 2000;
constexpr int kDoublingsMax = 10;
constexpr int kMessageBytesMax = 64 << 20;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Orders are small; probing for a wider window would answer each with a ping.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // A pool of its own: nothing of a connection's back-off outlives it.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  return arguments;
}

}  // namespace

// Held by gRPC (through self_) from the first call until OnDone.
class CoordinatorLink::Stream
    : public grpc::ClientBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  Stream(const std::string& address, const Events* events)
      : events_(events),
        stub_(v1::WorkerGateway::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments()))) {}

  void Start(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    stub_->async()->Connect(&context_, this);
    AddHold();  // writes come from outside of reactions
    StartRead(&incoming_);
    StartCall();
  }

  void Send(v1::WorkerMessage message) {
    absl::MutexLock lock(&mutex_);
    if (broken_) return;
    queue_.push_back(std::move(message));
    if (!writing_) WriteNextLocked();
  }

  void Drop() {
    context_.TryCancel();
    MaybeRemoveHold();
  }

  void Finish(absl::Duration limit) {
    absl::MutexLock lock(&mutex_);
    const auto sent = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return broken_ || !writing_; };
    const bool idle = mutex_.AwaitWithTimeout(absl::Condition(&sent), limit);
    if (!idle || broken_) return;
    StartWritesDone();
    mutex_.AwaitWithTimeout(absl::Condition(&done_), limit);
  }

  void WaitUntilDone() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return MaybeRemoveHold();
    events_->message(std::move(incoming_));
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (ok && !broken_) {
        if (!queue_.empty()) WriteNextLocked();
        return;
      }
    }
    if (!ok) MaybeRemoveHold();
  }

  void OnDone(const grpc::Status& status) override {
    const auto self = std::move(self_);  // deleted, at the earliest, on return
    events_->closed(
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()));
    absl::MutexLock lock(&mutex_);
    done_ = true;
  }

 private:
  // Under the lock, although it may do I/O: a hold removed between the two would let gRPC delete
  // the stream. gRPC tells OnWriteDone on another thread, and this is the only stream.
  void WriteNextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
  }

  void MaybeRemoveHold() {
    {
      absl::MutexLock lock(&mutex_);
      if (broken_) return;
      broken_ = true;
      queue_.clear();
    }
    RemoveHold();
  }

  const Events* const events_;
  const std::unique_ptr<v1::WorkerGateway::Stub> stub_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;
  v1::CoordinatorMessage incoming_;
  absl::Mutex mutex_;
  v1::WorkerMessage outgoing_;
  std::deque<v1::WorkerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

CoordinatorLink::CoordinatorLink(Events events) : events_(std::move(events)) {}
CoordinatorLink::~CoordinatorLink() { Stop(); }

void CoordinatorLink::Open(const std::string& address) {
  if (stream_) stream_->WaitUntilDone();
  stream_ = std::make_shared<Stream>(address, &events_);
  stream_->Start(stream_);
}

void CoordinatorLink::Send(v1::WorkerMessage message) {
  if (stream_) stream_->Send(std::move(message));
}

void CoordinatorLink::Drop() {
  if (stream_) stream_->Drop();
}

void CoordinatorLink::Finish(absl::Duration limit) {
  if (stream_) stream_->Finish(limit);
}

void CoordinatorLink::Stop() {
  if (!stream_) return;
  stream_->Drop();
  stream_->WaitUntilDone();
  stream_.reset();
}

absl::StatusOr<std::string> CoordinatorAddress::Read() const {
  if (path_.empty()) return address_;
  std::ifstream file(path_);
  std::string line;
  if (!std::getline(file, line) || line.empty()) {
    return NotFound("read the coordinator's address from {}: no such line; is it running?", path_);
  }
  return line;
}

int64_t ReconnectDelay::NextMs(uint32_t jitter_ms, double random) {
  const int64_t delay = std::min(kDelayMaxMs, kFirstDelayMs << std::min(failures_, kDoublingsMax));
  ++failures_;
  return delay + static_cast<int64_t>(random * jitter_ms);
}

}  // namespace muster::worker::rpc
