// The coordinator's gRPC server: settings, health and reflection.
//
// Errors: kUnavailable "listen on 127.0.0.1:7070: Address already in use; …".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace muster::coordinator::rpc {

struct RunningServer {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // as bound: host:port, with the port that was given or found
};

// Whether `listen` can be bound now: to find out before anything else is done.
absl::Status CheckListen(const std::string& listen);

// `listen`: host:port; port 0 takes any free one.
absl::StatusOr<RunningServer> StartServer(const std::string& listen,
                                          const std::vector<grpc::Service*>& services);

}  // namespace muster::coordinator::rpc
