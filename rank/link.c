#include "rank/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* A frame that has begun is small or its sender is alive: stalling longer means it is not. */
static const int64_t kInsideFrameNs = 30LL * 1000 * 1000 * 1000;

int64_t muster_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int wait_for(int fd, short events, int64_t deadline_ns) {
  for (;;) {
    const int64_t left_ns = deadline_ns - muster_now_ns();
    int64_t left_ms = left_ns <= 0 ? 0 : (left_ns + 999999) / 1000000;
    if (left_ms > 60000) left_ms = 60000;
    struct pollfd entry = {.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&entry, 1, (int)left_ms);
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return -errno;
    if (ready == 0 && left_ns <= 0) return -ETIMEDOUT;
  }
}

static int send_all(int fd, const char* bytes, size_t size, int64_t deadline_ns) {
  while (size > 0) {
    const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes += sent;
      size -= (size_t)sent;
    } else if (errno == EAGAIN) {
      const int error = wait_for(fd, POLLOUT, deadline_ns);
      if (error) return error;
    } else if (errno != EINTR) {
      return errno == ECONNRESET ? -EPIPE : -errno;
    }
  }
  return 0;
}

static int receive_all(int fd, char* bytes, size_t size, int64_t deadline_ns) {
  while (size > 0) {
    const ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);
    if (got > 0) {
      bytes += got;
      size -= (size_t)got;
    } else if (got == 0) {
      return -EPIPE;
    } else if (errno == EAGAIN) {
      const int error = wait_for(fd, POLLIN, deadline_ns);
      if (error) return error;
    } else if (errno != EINTR) {
      return errno == ECONNRESET ? -EPIPE : -errno;
    }
  }
  return 0;
}

static int break_link(muster_link* link, int error) {
  link->broken = 1;
  return error;
}

int muster_link_send(muster_link* link, muster_frame_type type, const muster_piece* pieces,
                     size_t count, int64_t deadline_ns) {
  if (link->broken) return -EPIPE;
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) size += pieces[i].size;
  if (size > MUSTER_FRAME_BYTES_MAX) return -EMSGSIZE;
  const muster_frame_header header = {
      .size = (uint32_t)size, .type = (uint16_t)type, .version = MUSTER_LINK_VERSION};
  int error = send_all(link->fd, (const char*)&header, sizeof(header), deadline_ns);
  for (size_t i = 0; i < count && !error; ++i) {
    error = send_all(link->fd, pieces[i].bytes, pieces[i].size, deadline_ns);
  }
  return error ? break_link(link, error) : 0;
}

int muster_link_receive(muster_link* link, int64_t deadline_ns, muster_frame_header* header,
                        char** body) {
  *body = NULL;
  if (link->broken) return -EPIPE;
  int error = wait_for(link->fd, POLLIN, deadline_ns);
  if (error == -ETIMEDOUT) return error;
  if (error) return break_link(link, error);

  const int64_t inside_ns = muster_now_ns() + kInsideFrameNs;
  error = receive_all(link->fd, (char*)header, sizeof(*header), inside_ns);
  if (error) return break_link(link, error);
  if (header->version != MUSTER_LINK_VERSION || header->size > MUSTER_FRAME_BYTES_MAX) {
    return break_link(link, -EPROTO);
  }
  char* bytes = malloc((size_t)header->size + 1);
  if (!bytes) return break_link(link, -ENOMEM);
  error = receive_all(link->fd, bytes, header->size, inside_ns);
  if (error) {
    free(bytes);
    return break_link(link, error);
  }
  bytes[header->size] = 0;
  *body = bytes;
  return 0;
}
