/* A rank's end of the local socket: whole frames, each with a deadline.
 *
 * Threads: one at a time.
 * Errors:  negative errno. -EPIPE: the shim is gone. After any error but -ETIMEDOUT between two
 *          frames the socket is useless and every later call returns -EPIPE.
 */
#ifndef MUSTER_RANK_LINK_H_
#define MUSTER_RANK_LINK_H_

#include <stddef.h>
#include <stdint.h>

#include "rank/link_frame.h"

typedef struct {
  int fd;
  int broken;
} muster_link;

typedef struct {
  const void* bytes;
  size_t size;
} muster_piece;

int64_t muster_now_ns(void);

/* Sends one frame made of `count` pieces. */
int muster_link_send(muster_link* link, muster_frame_type type, const muster_piece* pieces,
                     size_t count, int64_t deadline_ns);

/* Receives one frame; *body is malloc'ed (one extra zero byte at its end). -ETIMEDOUT when no
 * frame has begun by the deadline; a frame that has begun is waited for. */
int muster_link_receive(muster_link* link, int64_t deadline_ns, muster_frame_header* header,
                        char** body);

#endif /* MUSTER_RANK_LINK_H_ */
