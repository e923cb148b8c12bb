// Sending to a socket without waiting for its reader.
#pragma once

#include <string>

namespace muster::worker::shim {

// Sends what `fd` takes now and removes it from `out`. False: the connection is broken; `out` is
// then as it was.
bool SendReady(int fd, std::string* out);

}  // namespace muster::worker::shim
