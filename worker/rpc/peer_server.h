// What a worker serves: exchanges and its vault to other workers, logs to the CLI.
//
// Threads: gRPC's. Owns the server; shares the board and the list of live ranks with the loop.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/rpc/exchange_board.h"
#include "worker/rpc/live_ranks.h"
#include "worker/vault/intake.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace muster::worker::rpc {

class PeerServer {
 public:
  // `address`: host:port, port 0 takes a free one. `logs`: the worker's log folder. `intake`
  // outlives the server.
  static absl::StatusOr<std::unique_ptr<PeerServer>> Listen(const std::string& address,
                                                            std::shared_ptr<ExchangeBoard> board,
                                                            std::shared_ptr<const LiveRanks> live,
                                                            const std::string& logs,
                                                            vault::Intake& intake);
  ~PeerServer();  // ends every call

  int port() const { return port_; }

 private:
  PeerServer() = default;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Service> vault_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace muster::worker::rpc
