// ClusterService over the mailbox: parses and validates once, decides nothing.
//
// Threads: gRPC's. Every method returns at once, except BackupState, which copies on a thread of
//          its own and answers when the copy is durable.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/rpc/mailbox.h"
#include "coordinator/rpc/pending_replies.h"
#include "muster/v1/cluster_service.grpc.pb.h"

namespace muster::coordinator::rpc {

// What the service needs to know of the process around it.
struct ClusterServiceHost {
  std::string version;
  absl::Time start;
  // Prometheus text; called on the loop's thread.
  std::function<std::string(const core::Cluster& cluster)> metrics;
  // Records in the copy. Slow; called on a thread of its own, by one caller at a time.
  std::function<absl::StatusOr<uint64_t>(const std::string& path)> backup;
};

class ClusterService final : public v1::ClusterService::CallbackService {
 public:
  ClusterService(Mailbox* mailbox, PendingReplies* replies, ClusterServiceHost host);
  ~ClusterService() override;  // waits for a backup under way

  grpc::ServerUnaryReactor* GetCluster(grpc::CallbackServerContext* context,
                                       const v1::GetClusterRequest* request,
                                       v1::GetClusterResponse* response) override;
  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context,
                                      const v1::ListNodesRequest* request,
                                      v1::ListNodesResponse* response) override;
  grpc::ServerUnaryReactor* GetNode(grpc::CallbackServerContext* context,
                                    const v1::GetNodeRequest* request,
                                    v1::GetNodeResponse* response) override;
  grpc::ServerUnaryReactor* SetNodeQuarantine(grpc::CallbackServerContext* context,
                                              const v1::SetNodeQuarantineRequest* request,
                                              v1::SetNodeQuarantineResponse* response) override;
  grpc::ServerUnaryReactor* TestNode(grpc::CallbackServerContext* context,
                                     const v1::TestNodeRequest* request,
                                     v1::TestNodeResponse* response) override;
  grpc::ServerUnaryReactor* SetNodeAdmission(grpc::CallbackServerContext* context,
                                             const v1::SetNodeAdmissionRequest* request,
                                             v1::SetNodeAdmissionResponse* response) override;
  grpc::ServerUnaryReactor* GetMetrics(grpc::CallbackServerContext* context,
                                       const v1::GetMetricsRequest* request,
                                       v1::GetMetricsResponse* response) override;
  grpc::ServerUnaryReactor* BackupState(grpc::CallbackServerContext* context,
                                        const v1::BackupStateRequest* request,
                                        v1::BackupStateResponse* response) override;

 private:
  Mailbox* const mailbox_;
  PendingReplies* const replies_;
  const ClusterServiceHost host_;
  absl::Mutex backup_mutex_;
  bool backing_up_ ABSL_GUARDED_BY(backup_mutex_) = false;
};

}  // namespace muster::coordinator::rpc
