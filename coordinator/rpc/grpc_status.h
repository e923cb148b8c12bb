// absl::Status to grpc::Status: same code, same message (cut where HTTP/2 metadata would be too
// large).
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace muster::coordinator::rpc {

grpc::Status GrpcStatus(const absl::Status& status);

}  // namespace muster::coordinator::rpc
