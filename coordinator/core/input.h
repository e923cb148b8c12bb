// What can happen to the cluster: every input of Cluster::Step.
//
// Times are not in here: Step gets `now` beside the input. Ids of sessions and callers are chosen
// outside and only echoed.
#pragma once

#include <string>
#include <variant>

#include "common/ids.h"
#include "muster/v1/cluster_service.pb.h"
#include "muster/v1/incident.pb.h"
#include "muster/v1/job_service.pb.h"
#include "muster/v1/queue.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

// First input of every start. `cluster_id` is used when the journal is empty.
struct Start {
  std::string cluster_id;
  uint64_t nonce = 0;  // random; tells apart two coordinators that take one epoch. 0 = none
};

// Time passed. Expires leases, plans waiting jobs. Every 100 ms or so, and after other inputs.
struct Tick {};

struct SubmitJob {
  RequestToken token;
  v1::SubmitJobRequest request;
};

struct CancelJob {
  RequestToken token;
  v1::CancelJobRequest request;
};

struct ControlJob {
  RequestToken token;
  v1::ControlJobRequest request;
};

struct ScaleJob {
  RequestToken token;
  v1::ScaleJobRequest request;
};

struct SetQueue {
  RequestToken token;
  v1::SetQueueRequest request;
};

struct PauseQueue {
  RequestToken token;
  v1::PauseQueueRequest request;
};

struct SetNodeAdmission {
  RequestToken token;
  v1::SetNodeAdmissionRequest request;
};

struct AckIncident {
  RequestToken token;
  v1::AckIncidentRequest request;
};

struct SetNodeQuarantine {
  RequestToken token;
  v1::SetNodeQuarantineRequest request;
};

struct TestNode {
  RequestToken token;
  v1::TestNodeRequest request;
};

// A worker's stream opened and said hello.
struct WorkerConnected {
  SessionId session;
  v1::WorkerHello hello;
};

// Any later message of that stream; a hello in here is a protocol error and ends the session.
struct WorkerSaid {
  SessionId session;
  v1::WorkerMessage message;
};

struct WorkerDisconnected {
  SessionId session;
  std::string why;
};

using Input = std::variant<Start, Tick, SubmitJob, CancelJob, ControlJob, ScaleJob, SetQueue,
                           PauseQueue, SetNodeAdmission, AckIncident, SetNodeQuarantine, TestNode,
                           WorkerConnected, WorkerSaid, WorkerDisconnected>;

}  // namespace muster::coordinator::core
