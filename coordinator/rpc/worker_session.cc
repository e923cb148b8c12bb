#include "coordinator/rpc/worker_session.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "common/status.h"
#include "coordinator/rpc/grpc_status.h"

namespace muster::coordinator::rpc {

std::shared_ptr<WorkerSession> WorkerSession::Make(SessionId id, std::string peer, Mailbox* mailbox,
                                                   WorkerGateway* gateway,
                                                   const WorkerGateway::Options& options) {
  std::shared_ptr<WorkerSession> session(
      new WorkerSession(id, std::move(peer), mailbox, gateway, options));
  session->self_ = session;
  return session;
}

WorkerSession::WorkerSession(SessionId id, std::string peer, Mailbox* mailbox,
                             WorkerGateway* gateway, const WorkerGateway::Options& options)
    : id_(id), peer_(std::move(peer)), mailbox_(mailbox), gateway_(gateway), options_(options) {}

void WorkerSession::Send(v1::CoordinatorMessage message) {
  const size_t bytes = message.ByteSizeLong();
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (queue_.size() >= options_.queue_messages_max ||
      (queue_bytes_ + bytes > options_.queue_bytes_max && !queue_.empty())) {
    EndLocked(
        Error(absl::StatusCode::kResourceExhausted,
              "{} messages ({} bytes) wait for this worker, which does not read them; connect "
              "again and say hello",
              queue_.size(), queue_bytes_));
    return;
  }
  queue_.push_back(std::move(message));
  queue_bytes_ += bytes;
  if (queue_.size() == 1) StartWrite(&queue_.front());
}

void WorkerSession::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  queue_bytes_ -= queue_.front().ByteSizeLong();
  queue_.pop_front();
  if (ended_ || !ok) return;  // not ok: the stream is broken, and OnReadDone says so too
  if (!queue_.empty()) StartWrite(&queue_.front());
}

void WorkerSession::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  EndLocked(status);
}

void WorkerSession::EndLocked(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  why_ = status.ok() ? "the worker closed its stream" : std::string(status.message());
  Finish(GrpcStatus(status));
}

void WorkerSession::OnCancel() { End(absl::CancelledError("the connection broke")); }

void WorkerSession::OnReadDone(bool ok) {
  if (!ok) {
    End(absl::OkStatus());
    return;
  }
  if (const absl::Status status = Receive(); !status.ok()) {
    End(status);
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    StartRead(&incoming_);
  }
}

absl::Status WorkerSession::Receive() {
  if (said_hello_) {
    if (incoming_.has_hello()) {
      return InvalidArgument("worker {}: a second hello on one stream; open a new stream", node_);
    }
    return mailbox_->Post(core::WorkerSaid{id_, std::move(incoming_)});
  }
  if (!incoming_.has_hello()) {
    return InvalidArgument("worker at {}: the first message must be its hello", peer_);
  }
  node_ = incoming_.hello().node();
  if (node_.empty() || node_.size() > 253) {
    return InvalidArgument("worker at {}: its node name has {} characters; 1 to 253 are allowed",
                           peer_, node_.size());
  }
  MUSTER_RETURN_IF_ERROR(
      mailbox_->Post(core::WorkerConnected{id_, std::move(*incoming_.mutable_hello())}));
  said_hello_ = true;
  spdlog::info("worker {} connected from {} (session {})", node_, peer_, id_.value());
  return absl::OkStatus();
}

void WorkerSession::OnDone() {
  std::string why;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    why = why_;
  }
  gateway_->Remove(id_);
  if (said_hello_) {
    spdlog::info("worker {} disconnected (session {}): {}", node_, id_.value(), why);
    mailbox_->PostAlways(core::WorkerDisconnected{id_, why});
  }
  // Destroys this, unless Send or End is inside.
  const std::shared_ptr<WorkerSession> last = std::move(self_);
}

}  // namespace muster::coordinator::rpc
