#include "coordinator/core/turn.h"

#include "common/check.h"

namespace muster::coordinator::core {

void Turn::Record(v1::Record record) {
  record.set_time_unix_ms(now_ms());
  if (auto event = ApplyRecord(state_, record)) outcome_.events.push_back(*std::move(event));
  outcome_.records.push_back(std::move(record));
}

void Turn::Send(const Node& node, v1::CoordinatorMessage message) {
  if (!node.session) return;
  message.set_epoch(state_.epoch.value());
  message.set_epoch_nonce(state_.nonce);
  outcome_.commands.emplace_back(SendToWorker{*node.session, std::move(message)});
}

void Turn::Close(SessionId session, absl::Status status) {
  CHECK(!status.ok(), "session {} is closed without an error", session.value());
  outcome_.commands.emplace_back(CloseSession{session, std::move(status)});
}

}  // namespace muster::coordinator::core
