#include "worker/rpc/run_after.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <utility>

namespace muster::worker::rpc {

void RunAfter(int64_t delay_ms, std::function<void()> function) {
  auto* alarm = new grpc::Alarm;  // deletes itself; gRPC holds what it still needs
  alarm->Set(std::chrono::system_clock::now() + std::chrono::milliseconds(delay_ms),
             [alarm, function = std::move(function)](bool) {
               function();
               delete alarm;
             });
}

}  // namespace muster::worker::rpc
