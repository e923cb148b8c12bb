#include "coordinator/daemon/metrics_http.h"

#include <civetweb.h>

#include <mutex>
#include <utility>

#include "common/status.h"

namespace muster::coordinator::daemon {
namespace {

int Answer(mg_connection* connection, void* self) {
  const absl::StatusOr<std::string> text = static_cast<MetricsHttp*>(self)->text();
  const std::string body = text.ok() ? *text : std::string(text.status().message()) + "\n";
  mg_printf(connection,
            "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: %zu\r\nConnection: close\r\n\r\n",
            text.ok() ? "200 OK" : "503 Service Unavailable", body.size());
  mg_write(connection, body.data(), body.size());
  return text.ok() ? 200 : 503;
}

}  // namespace

MetricsHttp::MetricsHttp(Text text) : text_(std::move(text)) {}

MetricsHttp::~MetricsHttp() {
  if (context_ != nullptr) mg_stop(context_);
}

absl::StatusOr<std::unique_ptr<MetricsHttp>> MetricsHttp::Start(const std::string& listen,
                                                                Text text) {
  static std::once_flag once;
  std::call_once(once, [] { mg_init_library(0); });
  std::unique_ptr<MetricsHttp> server(new MetricsHttp(std::move(text)));
  const char* options[] = {"listening_ports",          listen.c_str(), "num_threads", "2",
                           "enable_directory_listing", "no",           nullptr};
  const mg_callbacks callbacks = {};
  server->context_ = mg_start(&callbacks, nullptr, options);
  if (server->context_ == nullptr) {
    return Unavailable(
        "listen on {} for metrics: the address is in use or not of this machine; "
        "choose another with --metrics-listen",
        listen);
  }
  mg_set_request_handler(server->context_, "/metrics$", Answer, server.get());
  mg_server_port port = {};
  mg_get_server_ports(server->context_, 1, &port);
  server->address_ = listen.substr(0, listen.rfind(':') + 1) + std::to_string(port.port);
  return server;
}

}  // namespace muster::coordinator::daemon
