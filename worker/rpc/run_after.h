// Calls a function once, later, on one of gRPC's threads.
#pragma once

#include <cstdint>
#include <functional>

namespace muster::worker::rpc {

// Cannot be called off: let `function` see for itself whether it is still wanted.
void RunAfter(int64_t delay_ms, std::function<void()> function);

}  // namespace muster::worker::rpc
