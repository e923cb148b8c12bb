// What one Step decided. To be carried out in this order: make the records durable, send the
// commands, answer the callers, publish the events.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "common/ids.h"
#include "muster/v1/cluster_service.pb.h"
#include "muster/v1/incident.pb.h"
#include "muster/v1/job_service.pb.h"
#include "muster/v1/journal.pb.h"
#include "muster/v1/queue.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

struct SendToWorker {
  SessionId session;
  v1::CoordinatorMessage message;
};

// Ends a worker's stream with this status (never OK).
struct CloseSession {
  SessionId session;
  absl::Status status;
};

using Command = std::variant<SendToWorker, CloseSession>;

struct Reply {
  RequestToken token;
  absl::Status status;  // the response is meaningful only when OK
  std::variant<std::monostate, v1::SubmitJobResponse, v1::CancelJobResponse, v1::ControlJobResponse,
               v1::ScaleJobResponse, v1::SetQueueResponse, v1::PauseQueueResponse,
               v1::SetNodeAdmissionResponse, v1::AckIncidentResponse, v1::SetNodeQuarantineResponse,
               v1::TestNodeResponse>
      response;
};

struct Outcome {
  std::vector<v1::Record> records;
  std::vector<Command> commands;
  std::vector<Reply> replies;
  std::vector<v1::JobEvent> events;     // durable ones (from records) and progress, in order
  std::vector<v1::Incident> incidents;  // those that changed, as they are now
};

}  // namespace muster::coordinator::core
