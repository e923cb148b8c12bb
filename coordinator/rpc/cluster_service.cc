#include "coordinator/rpc/cluster_service.h"

#include <filesystem>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "common/status.h"
#include "coordinator/rpc/ask_mailbox.h"
#include "coordinator/rpc/request_limits.h"

namespace muster::coordinator::rpc {
namespace {

constexpr uint64_t kCoolDownMsMax = uint64_t{366} * 24 * 3600 * 1000;

absl::Status CheckAdmission(const v1::SetNodeAdmissionRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("reason", request.reason(), kTextBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("node", request.node(), kTextBytesMax));
  switch (request.admission()) {
    case v1::NODE_ADMISSION_OPEN:
    case v1::NODE_ADMISSION_CORDONED:
    case v1::NODE_ADMISSION_DRAINING:
      return absl::OkStatus();
    default:  // the wire may hold any number
      return InvalidArgument(
          "set admission of node {}: {} cannot be asked for; use OPEN, CORDONED "
          "or DRAINING",
          request.node(),
          v1::NodeAdmission_IsValid(request.admission())
              ? v1::NodeAdmission_Name(request.admission())
              : fmt::format("admission {}", int{request.admission()}));
  }
}

absl::Status CheckQuarantine(const v1::SetNodeQuarantineRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("reason", request.reason(), kTextBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("node", request.node(), kTextBytesMax));
  if (request.cool_down_ms() > kCoolDownMsMax) {
    return InvalidArgument(
        "quarantine node {}: a cool-down of {} ms is longer than a year; leave it out and only a "
        "person ends the quarantine",
        request.node(), request.cool_down_ms());
  }
  return absl::OkStatus();
}

absl::Status CheckTest(const v1::TestNodeRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckLength("request_id", request.request_id(), kRequestIdBytesMax));
  MUSTER_RETURN_IF_ERROR(CheckLength("reason", request.reason(), kTextBytesMax));
  return CheckLength("node", request.node(), kTextBytesMax);
}

}  // namespace

ClusterService::ClusterService(Mailbox* mailbox, PendingReplies* replies, ClusterServiceHost host)
    : mailbox_(mailbox), replies_(replies), host_(std::move(host)) {}

ClusterService::~ClusterService() {
  absl::MutexLock lock(&backup_mutex_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(backup_mutex_) { return !backing_up_; };
  backup_mutex_.Await(absl::Condition(&idle));
}

grpc::ServerUnaryReactor* ClusterService::GetCluster(grpc::CallbackServerContext* context,
                                                     const v1::GetClusterRequest* /*request*/,
                                                     v1::GetClusterResponse* response) {
  return Ask(mailbox_, context, response, [this](const core::Cluster& cluster) {
    v1::GetClusterResponse answer = cluster.GetCluster();
    answer.set_version(host_.version);
    answer.set_start_unix_ms(absl::ToUnixMillis(host_.start));
    return absl::StatusOr<v1::GetClusterResponse>(std::move(answer));
  });
}

grpc::ServerUnaryReactor* ClusterService::ListNodes(grpc::CallbackServerContext* context,
                                                    const v1::ListNodesRequest* request,
                                                    v1::ListNodesResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.ListNodes(*request); });
}

grpc::ServerUnaryReactor* ClusterService::SetNodeAdmission(
    grpc::CallbackServerContext* context, const v1::SetNodeAdmissionRequest* request,
    v1::SetNodeAdmissionResponse* response) {
  if (const absl::Status bad = CheckAdmission(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::SetNodeAdmission{token, *request};
  });
}

grpc::ServerUnaryReactor* ClusterService::GetNode(grpc::CallbackServerContext* context,
                                                  const v1::GetNodeRequest* request,
                                                  v1::GetNodeResponse* response) {
  return Ask(mailbox_, context, response,
             [request](const core::Cluster& cluster) { return cluster.GetNode(*request); });
}

grpc::ServerUnaryReactor* ClusterService::SetNodeQuarantine(
    grpc::CallbackServerContext* context, const v1::SetNodeQuarantineRequest* request,
    v1::SetNodeQuarantineResponse* response) {
  if (const absl::Status bad = CheckQuarantine(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::SetNodeQuarantine{token, *request};
  });
}

grpc::ServerUnaryReactor* ClusterService::TestNode(grpc::CallbackServerContext* context,
                                                   const v1::TestNodeRequest* request,
                                                   v1::TestNodeResponse* response) {
  if (const absl::Status bad = CheckTest(*request); !bad.ok()) return Refuse(context, bad);
  return Submit(mailbox_, replies_, context, response, [&](RequestToken token) {
    return core::TestNode{token, *request};
  });
}

grpc::ServerUnaryReactor* ClusterService::GetMetrics(grpc::CallbackServerContext* context,
                                                     const v1::GetMetricsRequest* /*request*/,
                                                     v1::GetMetricsResponse* response) {
  return Ask(mailbox_, context, response, [this](const core::Cluster& cluster) {
    v1::GetMetricsResponse answer;
    answer.set_text(host_.metrics(cluster));
    return absl::StatusOr<v1::GetMetricsResponse>(std::move(answer));
  });
}

grpc::ServerUnaryReactor* ClusterService::BackupState(grpc::CallbackServerContext* context,
                                                      const v1::BackupStateRequest* request,
                                                      v1::BackupStateResponse* response) {
  if (request->path().empty() || request->path().front() != '/') {
    return Refuse(context,
                  InvalidArgument("back up the state to \"{}\": the path must be absolute, "
                                  "on the coordinator's machine",
                                  request->path()));
  }
  {
    absl::MutexLock lock(&backup_mutex_);
    if (backing_up_) {
      return Refuse(context, Unavailable("a backup is under way; try again when it is done"));
    }
    backing_up_ = true;
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::thread([this, reactor, response, path = request->path()] {
    const absl::StatusOr<uint64_t> records = host_.backup(path);
    if (records.ok()) {
      std::error_code error;
      response->set_path(path);
      response->set_records(*records);
      response->set_bytes(std::filesystem::file_size(path, error));
    }
    {
      absl::MutexLock lock(&backup_mutex_);
      backing_up_ = false;
    }
    reactor->Finish(GrpcStatus(records.status()));  // whoever asks again now is not refused
  }).detach();  // the destructor waits for backing_up_; the server for the call
  return reactor;
}

}  // namespace muster::coordinator::rpc
