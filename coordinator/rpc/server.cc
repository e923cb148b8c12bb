#include "coordinator/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>

#include "common/status.h"

namespace muster::coordinator::rpc {
namespace {

struct HostPort {
  std::string host;
  std::string port;
};

absl::StatusOr<HostPort> Split(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  HostPort parts;
  if (colon != std::string::npos) {
    parts.host = listen.substr(0, colon);
    parts.port = listen.substr(colon + 1);
  }
  unsigned port = 0;
  const char* end = parts.port.data() + parts.port.size();
  const auto [rest, error] = std::from_chars(parts.port.data(), end, port);
  if (parts.host.empty() || error != std::errc() || rest != end || port > 65'535) {
    return InvalidArgument("listen on \"{}\": not HOST:PORT; for example 127.0.0.1:7070", listen);
  }
  return parts;
}

// gRPC does not say why it cannot bind, so a socket of our own finds out.
absl::Status TryBind(const std::string& listen, const HostPort& parts) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  std::string host = parts.host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), parts.port.c_str(), &hints, &found);
      failed != 0) {
    return Unavailable("listen on {}: {}; choose an address of this machine with --listen", listen,
                       gai_strerror(failed));
  }
  int error = 0;
  const int fd = socket(found->ai_family, found->ai_socktype, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
    error = errno;
  }
  close(fd);
  freeaddrinfo(found);
  if (error == 0) return absl::OkStatus();
  return Unavailable(
      "listen on {}: {}; stop the program that uses it or choose another with "
      "--listen",
      listen, std::strerror(error));
}

void LogFromGrpc(gpr_log_func_args* args) {
  spdlog::debug("grpc: {}:{}: {}", args->file, args->line, args->message);
}

}  // namespace

absl::Status CheckListen(const std::string& listen) {
  MUSTER_ASSIGN_OR_RETURN(const HostPort parts, Split(listen));
  return TryBind(listen, parts);
}

absl::StatusOr<RunningServer> StartServer(const std::string& listen,
                                          const std::vector<grpc::Service*>& services) {
  MUSTER_ASSIGN_OR_RETURN(const HostPort parts, Split(listen));
  static std::once_flag once;
  std::call_once(once, [] {
    // What matters is said by us, in one line.
    gpr_set_log_function(LogFromGrpc);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  // Without this two servers may share one port, and each gets half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(4 << 20);
  // A peer that vanished without a word is noticed within 3 s. Time-outs under 1 s were seen to
  // fail on a busy machine; a broken stream makes a node suspect, not dead.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Messages are small. Probing for a wider window answered every heartbeat with a ping.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Clients ping as often; without these they are sent away with "too_many_pings".
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  // Reflection is a synchronous service; it needs no more than this.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);

  RunningServer running;
  running.server = builder.BuildAndStart();
  if (running.server == nullptr || port == 0) {
    MUSTER_RETURN_IF_ERROR(TryBind(listen, parts));
    return Unavailable("listen on {}: gRPC cannot bind it; choose another with --listen", listen);
  }
  running.address = parts.host + ":" + std::to_string(port);
  return running;
}

}  // namespace muster::coordinator::rpc
