// What the worker's core wants done. Actions are done in the order given, each before the next.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "muster/v1/peer.pb.h"
#include "worker/core/input.h"

namespace muster::worker::core {

struct RecordEpoch {  // durable before anything after it
  Epoch epoch;
  uint64_t nonce = 0;  // of the coordinator that holds it
};
struct RecordClusterId {  // durable before anything after it
  std::string cluster_id;
};
struct SendToCoordinator {
  v1::WorkerMessage message;
};
struct DropStream {  // close it; a new one may be opened
  std::string reason;
};
struct EndWorker {  // cannot serve this cluster
  std::string reason;
};

struct SpawnShim {  // failure comes back as SpawnFailed, success as ShimConnected
  AttemptKey key;
  v1::StartRanks start;
};
struct SendToShim {  // lost if the shim is not connected
  AttemptKey key;
  v1::WorkerToShim message;
};
struct CleanUp {  // kill what is left, remove leaked shared memory; answered by CleanedUp
  AttemptKey key;
};
struct RemoveFolder {
  AttemptKey key;
};

// This node holds the attempt's first rank: its exchanges meet here.
struct OpenExchange {
  AttemptKey key;
  std::vector<std::string> nodes;  // by node index
};
struct CloseExchange {
  AttemptKey key;
};
struct CallExchange {  // answered by ExchangeDone
  AttemptKey key;
  bool here = false;         // this node is the one asked
  std::string peer_address;  // of the worker that is
  v1::ExchangeRequest request;
};
struct ExchangeOver {  // the first node's shim has it; the others may be told
  AttemptKey key;
  v1::ShimExchangeOver over;
};

struct PublishRanks {  // which ranks of the attempt may still write logs
  AttemptKey key;
  std::vector<uint32_t> live;
};

struct StartTest {  // of the node; one that runs with another number ends. Answered by TestDone
  uint64_t test = 0;
};

struct DropVault {  // what the node's memory keeps of this job; answered by VaultHolds
  std::string job_uid;
};

struct Note {  // for the log: what was decided and why
  bool warning = false;
  std::string text;
};

using Action =
    std::variant<RecordEpoch, RecordClusterId, SendToCoordinator, DropStream, EndWorker, SpawnShim,
                 SendToShim, CleanUp, RemoveFolder, OpenExchange, CloseExchange, CallExchange,
                 ExchangeOver, PublishRanks, StartTest, DropVault, Note>;

}  // namespace muster::worker::core
