#include "coordinator/rpc/grpc_status.h"

#include <string>

namespace muster::coordinator::rpc {

grpc::Status GrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // Peers drop a call whose metadata is over 8 KB; a percent-encoded byte takes three.
  constexpr size_t kMessageBytesMax = 2'400;
  std::string message(status.message());
  if (message.size() > kMessageBytesMax) {
    message.resize(kMessageBytesMax);
    message += "… (cut)";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

}  // namespace muster::coordinator::rpc
