/* The ring of a rank's newest collectives, on its status page: written by the rank, read by its
 * shim, to tell who waits inside a collective from who never came to it.
 *
 * Collective n (from 0) is in entry n mod 32. An entry's state carries the lap, n / 32, so that a
 * late word about an old collective never changes a newer one, and a reader knows whether it read
 * one collective or the halves of two.
 *
 * Threads: any number of writers and readers, no locks. A writer that sleeps inside a begin while
 *          others begin 32 more loses its entry. Fields that a sleeper wakes up to write may end up
 *          in a newer entry: the ring is a hint for finding who hangs, never a basis for anything
 *          else.
 */
#ifndef MUSTER_RANK_COLLECTIVE_RING_H_
#define MUSTER_RANK_COLLECTIVE_RING_H_

#include "rank/pages.h"

typedef enum {
  MUSTER_ENTRY_WRITING = 0,
  MUSTER_ENTRY_INSIDE = 1, /* the rank goes on when it is over */
  MUSTER_ENTRY_DONE = 2,
  MUSTER_ENTRY_STARTED = 3 /* under way beside the rank's work */
} muster_entry_state;

/* state: the muster_entry_state in the lowest 8 bits, the lap's lowest 24 above. */
static inline uint32_t muster_ring_state(uint64_t number, muster_entry_state state) {
  return (uint32_t)(number / MUSTER_COLLECTIVES_MAX) << 8 | (uint32_t)state;
}

static inline muster_collective_entry* muster_ring_entry(muster_status_page* page,
                                                         uint64_t number) {
  return &page->ring[number % MUSTER_COLLECTIVES_MAX];
}

/* Writes one more entry, INSIDE or STARTED, and returns its number. */
static inline uint64_t muster_ring_add(muster_status_page* page, muster_entry_state state,
                                       muster_collective operation, muster_group group,
                                       uint64_t sequence, uint64_t bytes, int64_t now_ns) {
  const uint64_t number = __atomic_fetch_add(&page->collectives, 1, __ATOMIC_RELAXED);
  muster_collective_entry* entry = muster_ring_entry(page, number);
  const uint32_t mine = muster_ring_state(number, MUSTER_ENTRY_WRITING);
  uint32_t seen = __atomic_load_n(&entry->state, __ATOMIC_RELAXED);
  do { /* an entry of a later lap, whose writer was faster, stays */
    if ((int32_t)((seen & ~0xffU) - mine) > 0) return number;
  } while (!__atomic_compare_exchange_n(&entry->state, &seen, mine, 1, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  __atomic_thread_fence(__ATOMIC_RELEASE);
  __atomic_store_n(&entry->sequence, sequence, __ATOMIC_RELAXED);
  __atomic_store_n(&entry->bytes, bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&entry->begin_monotonic_ns, now_ns, __ATOMIC_RELAXED);
  __atomic_store_n(&entry->operation, (uint16_t)operation, __ATOMIC_RELAXED);
  __atomic_store_n(&entry->group, (uint16_t)group, __ATOMIC_RELAXED);
  seen = mine;
  __atomic_compare_exchange_n(&entry->state, &seen, muster_ring_state(number, state), 0,
                              __ATOMIC_RELEASE, __ATOMIC_RELAXED);
  return number;
}

/* Moves collective `number` from one state to another; does nothing when it is in none of these,
 * or no longer in the ring. Returns 1 when it did. */
static inline int muster_ring_move(muster_status_page* page, uint64_t number,
                                   muster_entry_state from, muster_entry_state to) {
  uint32_t seen = muster_ring_state(number, from);
  return __atomic_compare_exchange_n(&muster_ring_entry(page, number)->state, &seen,
                                     muster_ring_state(number, to), 0, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED);
}

/* The rank stops its work for `number`: from then on it is INSIDE. */
static inline void muster_ring_wait(muster_status_page* page, uint64_t number, int64_t now_ns) {
  muster_collective_entry* entry = muster_ring_entry(page, number);
  if (__atomic_load_n(&entry->state, __ATOMIC_RELAXED) !=
      muster_ring_state(number, MUSTER_ENTRY_STARTED)) {
    return;
  }
  __atomic_store_n(&entry->begin_monotonic_ns, now_ns, __ATOMIC_RELAXED);
  muster_ring_move(page, number, MUSTER_ENTRY_STARTED, MUSTER_ENTRY_INSIDE);
}

static inline void muster_ring_done(muster_status_page* page, uint64_t number) {
  if (!muster_ring_move(page, number, MUSTER_ENTRY_INSIDE, MUSTER_ENTRY_DONE)) {
    muster_ring_move(page, number, MUSTER_ENTRY_STARTED, MUSTER_ENTRY_DONE);
  }
}

/* Returns 1 and fills *out, its state without the lap, or 0 when `number` is not in the ring, is
 * being written, or changed meanwhile. */
static inline int muster_ring_read(const muster_status_page* page, uint64_t number,
                                   muster_collective_entry* out) {
  const muster_collective_entry* entry = &page->ring[number % MUSTER_COLLECTIVES_MAX];
  const uint32_t before = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
  const uint32_t state = before & 0xffU;
  if (state == MUSTER_ENTRY_WRITING) return 0;
  if (before != muster_ring_state(number, (muster_entry_state)state)) return 0;
  out->sequence = __atomic_load_n(&entry->sequence, __ATOMIC_RELAXED);
  out->bytes = __atomic_load_n(&entry->bytes, __ATOMIC_RELAXED);
  out->begin_monotonic_ns = __atomic_load_n(&entry->begin_monotonic_ns, __ATOMIC_RELAXED);
  out->operation = __atomic_load_n(&entry->operation, __ATOMIC_RELAXED);
  out->group = __atomic_load_n(&entry->group, __ATOMIC_RELAXED);
  out->state = state;
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return __atomic_load_n(&entry->state, __ATOMIC_RELAXED) == before;
}

#endif /* MUSTER_RANK_COLLECTIVE_RING_H_ */
