/* Byte layout of the pages a rank shares with its shim: one file of 8 KiB per rank, the status page
 * (the rank writes) and then the order page (the shim writes). Little endian, natural alignment.
 * The format for other languages: docs/formats/rank_link.md.
 *
 * Threads: muster_pages_write_status needs one writer at a time; readers never block it.
 */
#ifndef MUSTER_RANK_PAGES_H_
#define MUSTER_RANK_PAGES_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rank/muster_rank.h"

#ifdef __cplusplus
#define MUSTER_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define MUSTER_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define MUSTER_PAGES_MAGIC 0x5250534dU /* "MSPR" */
#define MUSTER_PAGES_VERSION 1U
#define MUSTER_PAGE_SIZE 4096U
#define MUSTER_PAGES_SIZE 8192U
#define MUSTER_COLLECTIVES_MAX 32U

/* What one publish writes: all or nothing for a reader. */
typedef struct {
  uint64_t updates;     /* publishes so far */
  int64_t monotonic_ns; /* CLOCK_MONOTONIC of the last one */
  uint32_t generation;  /* communicator set in use */
  uint32_t flags;       /* MUSTER_STATUS_...; 0 from a writer that does not know of them */
  muster_rank_status status;
  double straggler_seconds; /* 0 from a writer that does not know of it */
} muster_status_body;

/* first_step came from the nodes' memory, not from storage. */
#define MUSTER_STATUS_FROM_MEMORY 1U

/* One of the newest collectives; written and read as rank/collective_ring.h says. */
typedef struct {
  uint64_t sequence; /* of its group, from 1 */
  uint64_t bytes;
  int64_t begin_monotonic_ns; /* since when the rank is inside it; before that, its start */
  uint16_t operation;         /* muster_collective */
  uint16_t group;             /* muster_group */
  uint32_t state;
} muster_collective_entry;

typedef struct {
  uint32_t magic;
  uint32_t version;
  uint32_t sequence; /* seqlock: odd while the body is being written */
  uint32_t reserved;
  muster_status_body body;
  uint8_t room_for_status[2048 - 16 - sizeof(muster_status_body)];
  uint64_t collectives; /* begun or started so far */
  muster_collective_entry ring[MUSTER_COLLECTIVES_MAX];
  uint8_t
      rest[MUSTER_PAGE_SIZE - 2048 - 8 - MUSTER_COLLECTIVES_MAX * sizeof(muster_collective_entry)];
} muster_status_page;

typedef struct {
  uint32_t magic;
  uint32_t version;
  uint32_t futex;      /* grows with every change of this page; waiters are woken */
  uint32_t stop;       /* 1 = save, then end with exit code 75 */
  uint64_t save;       /* grows with every "save now" */
  uint32_t generation; /* communicator set the rank shall be in */
  uint32_t reserved;
  uint8_t rest[MUSTER_PAGE_SIZE - 32];
} muster_order_page;

typedef struct {
  muster_status_page status;
  muster_order_page order;
} muster_pages;

MUSTER_STATIC_ASSERT(sizeof(muster_rank_status) == 112, "status layout is frozen");
MUSTER_STATIC_ASSERT(offsetof(muster_status_page, body) == 16, "body follows the seqlock");
MUSTER_STATIC_ASSERT(offsetof(muster_status_body, flags) == 20, "body layout is frozen");
MUSTER_STATIC_ASSERT(offsetof(muster_status_body, straggler_seconds) == 136,
                     "body layout is frozen: it only grows, into room that older writers leave 0");
MUSTER_STATIC_ASSERT(sizeof(muster_status_body) == 144, "whole words");
MUSTER_STATIC_ASSERT(offsetof(muster_status_page, collectives) == 2048, "ring offset is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_collective_entry) == 32, "ring entry is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_status_page) == MUSTER_PAGE_SIZE, "one page");
MUSTER_STATIC_ASSERT(sizeof(muster_order_page) == MUSTER_PAGE_SIZE, "one page");
MUSTER_STATIC_ASSERT(offsetof(muster_order_page, save) == 16, "order layout is frozen");
MUSTER_STATIC_ASSERT(sizeof(muster_pages) == MUSTER_PAGES_SIZE, "two pages");

/* Body words are moved one atomic 8-byte word at a time, so that no compiler or reader ever sees
 * a data race; the sequence number tells whether they belong together. */
#define MUSTER_BODY_WORDS (sizeof(muster_status_body) / 8)

static inline void muster_pages_init(muster_pages* pages) {
  memset(pages, 0, sizeof(*pages));
  pages->status.magic = pages->order.magic = MUSTER_PAGES_MAGIC;
  pages->status.version = pages->order.version = MUSTER_PAGES_VERSION;
}

static inline void muster_pages_write_status(muster_status_page* page,
                                             const muster_status_body* body) {
  uint64_t words[MUSTER_BODY_WORDS];
  memcpy(words, body, sizeof(words));
  char* to = (char*)&page->body;
  const uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_RELAXED);
  __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  for (size_t i = 0; i < MUSTER_BODY_WORDS; ++i) {
    __atomic_store_n((uint64_t*)(void*)(to + i * 8), words[i], __ATOMIC_RELAXED);
  }
  __atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

/* Returns 1 and fills *body, or 0 when every one of `tries` met a writer (a rank killed inside a
 * write leaves the page odd for ever: keep what was read before). */
static inline int muster_pages_read_status(const muster_status_page* page, int tries,
                                           muster_status_body* body) {
  const char* from = (const char*)&page->body;
  while (tries-- > 0) {
    uint64_t words[MUSTER_BODY_WORDS];
    const uint32_t before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
    if (before & 1U) continue;
    for (size_t i = 0; i < MUSTER_BODY_WORDS; ++i) {
      words[i] = __atomic_load_n((const uint64_t*)(const void*)(from + i * 8), __ATOMIC_RELAXED);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&page->sequence, __ATOMIC_RELAXED) != before) continue;
    memcpy(body, words, sizeof(words));
    return 1;
  }
  return 0;
}

#endif /* MUSTER_RANK_PAGES_H_ */
