/* Frames on the local socket between a rank and its shim (SOCK_STREAM socketpair). Little endian.
 * A frame is this header and then `size` bytes; docs/formats/rank_link.md has the bodies.
 */
#ifndef MUSTER_RANK_LINK_FRAME_H_
#define MUSTER_RANK_LINK_FRAME_H_

#include <stdint.h>

#include "rank/pages.h"

#define MUSTER_LINK_VERSION 1
#define MUSTER_FRAME_BYTES_MAX (256U << 20)
#define MUSTER_EXCHANGE_KEY_MAX 256U
#define MUSTER_SAVE_TROUBLE_BYTES_MAX 1024U

typedef enum {
  MUSTER_FRAME_HELLO = 1,           /* rank: muster_frame_hello */
  MUSTER_FRAME_HELLO_REPLY = 2,     /* shim: muster_frame_reply, text */
  MUSTER_FRAME_EXCHANGE = 3,        /* rank: muster_frame_exchange, key, blob */
  MUSTER_FRAME_EXCHANGE_RESULT = 4, /* shim: muster_frame_reply, blobs or text */
  MUSTER_FRAME_COMMIT_REQUEST = 5,  /* rank 0: muster_frame_commit */
  MUSTER_FRAME_COMMIT_ANSWER = 6,   /* shim: muster_frame_answer, text */
  MUSTER_FRAME_COMMIT_DONE = 7,     /* rank 0: muster_frame_commit */
  MUSTER_FRAME_PRUNED = 8,          /* rank 0: muster_frame_pruned */
  MUSTER_FRAME_SAVE_TROUBLE = 9     /* rank: muster_frame_save_trouble, text */
} muster_frame_type;

typedef struct {
  uint32_t size; /* of the body */
  uint16_t type; /* muster_frame_type */
  uint16_t version;
} muster_frame_header;

typedef struct {
  uint32_t rank;
  uint32_t world_size;
} muster_frame_hello;

/* error: 0, or a negative errno with its text in the rest of the body. */
typedef struct {
  uint32_t id; /* of the request it answers; 0 for hello */
  int32_t error;
} muster_frame_reply;

typedef struct {
  uint32_t id; /* grows with every exchange of this rank */
  uint32_t key_size;
} muster_frame_exchange;

typedef struct {
  uint64_t step;
  uint64_t bytes;
  uint8_t manifest_sha256[32];
} muster_frame_commit;

typedef struct {
  uint64_t step;
  uint32_t answer; /* muster_commit_answer */
  uint32_t reserved;
} muster_frame_answer;

typedef struct {
  uint64_t step;
  uint64_t attempt;
} muster_frame_pruned;

/* Without text: that trouble is over. */
typedef struct {
  uint64_t step;
  uint32_t kind; /* muster_save_trouble */
  uint32_t reserved;
} muster_frame_save_trouble;

MUSTER_STATIC_ASSERT(sizeof(muster_frame_header) == 8, "frame header is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_hello) == 8, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_reply) == 8, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_exchange) == 8, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_commit) == 48, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_answer) == 16, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_pruned) == 16, "frame body is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_frame_save_trouble) == 16, "frame body is frozen");

#endif /* MUSTER_RANK_LINK_FRAME_H_ */
