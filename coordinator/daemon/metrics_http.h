// Plain HTTP for Prometheus: GET /metrics.
//
// Threads: `text` is called from the server's own two threads, and may wait.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct mg_context;

namespace muster::coordinator::daemon {

class MetricsHttp {
 public:
  using Text = std::function<absl::StatusOr<std::string>()>;

  // `listen`: host:port; port 0 takes any free one.
  static absl::StatusOr<std::unique_ptr<MetricsHttp>> Start(const std::string& listen, Text text);
  ~MetricsHttp();
  MetricsHttp(const MetricsHttp&) = delete;
  MetricsHttp& operator=(const MetricsHttp&) = delete;

  const std::string& address() const { return address_; }
  absl::StatusOr<std::string> text() const { return text_(); }

 private:
  explicit MetricsHttp(Text text);

  const Text text_;
  std::string address_;
  mg_context* context_ = nullptr;
};

}  // namespace muster::coordinator::daemon
