#include "coordinator/rpc/worker_gateway.h"

#include <utility>
#include <vector>

#include "common/check.h"
#include "coordinator/rpc/worker_session.h"

namespace muster::coordinator::rpc {

WorkerGateway::WorkerGateway(Mailbox* mailbox, Options options)
    : mailbox_(mailbox), options_(options) {}

WorkerGateway::~WorkerGateway() {
  CHECK(sessions() == 0, "{} sessions outlive the server", sessions());
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* WorkerGateway::Connect(
    grpc::CallbackServerContext* context) {
  std::shared_ptr<WorkerSession> session;
  absl::Status closed;
  {
    absl::MutexLock lock(&mutex_);
    const SessionId id(next_++);
    session = WorkerSession::Make(id, context->peer(), mailbox_, this, options_);
    sessions_.emplace(id, session);
    closed = closed_;
  }
  if (closed.ok()) {
    session->Start();
  } else {
    session->End(closed);
  }
  return session.get();
}

void WorkerGateway::Send(SessionId session, v1::CoordinatorMessage message) {
  if (const auto found = Find(session)) found->Send(std::move(message));
}

void WorkerGateway::Close(SessionId session, const absl::Status& status) {
  if (const auto found = Find(session)) found->End(status);
}

void WorkerGateway::CloseAll(const absl::Status& status) {
  std::vector<std::shared_ptr<WorkerSession>> all;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = status;
    for (const auto& [id, session] : sessions_) all.push_back(session);
  }
  for (const auto& session : all) session->End(status);
}

size_t WorkerGateway::sessions() const {
  absl::MutexLock lock(&mutex_);
  return sessions_.size();
}

std::shared_ptr<WorkerSession> WorkerGateway::Find(SessionId session) const {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second;
}

void WorkerGateway::Remove(SessionId session) {
  std::shared_ptr<WorkerSession> removed;  // destroyed, if at all, without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  removed = std::move(found->second);
  sessions_.erase(found);
}

}  // namespace muster::coordinator::rpc
