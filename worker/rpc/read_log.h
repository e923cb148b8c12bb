// One call of Peer.ReadLog.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "muster/v1/peer.pb.h"
#include "worker/rpc/live_ranks.h"

namespace muster::worker::rpc {

// Ends when all that is there was sent; with `follow`, when the rank has ended besides. gRPC owns
// what is returned.
grpc::ServerWriteReactor<v1::ReadLogResponse>* StartReadLog(const v1::ReadLogRequest& request,
                                                            const std::string& logs,
                                                            std::shared_ptr<const LiveRanks> live);

}  // namespace muster::worker::rpc
