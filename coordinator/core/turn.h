// One Step under way: the state it may change, and the outcome it fills.
//
// Record is the only way to change what is durable: it applies the record at once and keeps it for
// the journal, with the event it makes.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/outcome.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {

class Turn {
 public:
  Turn(ClusterState& state, Outcome& outcome) : state_(state), outcome_(outcome) {}

  ClusterState& state() { return state_; }
  absl::Time now() const { return state_.now; }
  int64_t now_ms() const { return absl::ToUnixMillis(state_.now); }

  void Record(v1::Record record);
  // To the node's worker, if it is connected; what matters is sent again until obeyed.
  void Send(const Node& node, v1::CoordinatorMessage message);
  void Close(SessionId session, absl::Status status);
  void Emit(v1::JobEvent event) { outcome_.events.push_back(std::move(event)); }
  void Emit(v1::Incident incident) { outcome_.incidents.push_back(std::move(incident)); }

  template <typename Response>
  void Answer(RequestToken token, absl::StatusOr<Response> answer) {
    Reply reply;
    reply.token = token;
    reply.status = answer.status();
    if (answer.ok()) reply.response = std::move(answer).value();
    outcome_.replies.push_back(std::move(reply));
  }

 private:
  ClusterState& state_;
  Outcome& outcome_;
};

}  // namespace muster::coordinator::core
