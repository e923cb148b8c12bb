#include "worker/shim/send_ready.h"

#include <sys/socket.h>

#include <cerrno>

namespace muster::worker::shim {

bool SendReady(int fd, std::string* out) {
  size_t done = 0;
  while (done < out->size()) {
    const ssize_t sent =
        send(fd, out->data() + done, out->size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return false;
    done += static_cast<size_t>(sent);
  }
  out->erase(0, done);
  return true;
}

}  // namespace muster::worker::shim
