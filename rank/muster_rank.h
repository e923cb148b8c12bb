/* The rank link: how a training process talks to the worker that started it.
 *
 * Plain C, no dependencies. A program that uses none of it still runs under Muster; it then gets
 * process-level supervision only. Byte layout of the shared pages: rank/pages.h and
 * docs/formats/rank_link.md.
 *
 * Threads: a link is used by one thread at a time, except muster_rank_wanted_*,
 *          muster_rank_publish and muster_rank_collective_*, which may be called from any.
 * Errors:  functions return 0 or a negative errno; muster_rank_error() says it in words.
 */
#ifndef MUSTER_RANK_H_
#define MUSTER_RANK_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_rank muster_rank;

typedef enum {
  MUSTER_PHASE_INIT = 1,
  MUSTER_PHASE_LOAD = 2,
  MUSTER_PHASE_STEP = 3,
  MUSTER_PHASE_SAVE = 4,
  MUSTER_PHASE_EVAL = 5,
  MUSTER_PHASE_IDLE = 6
} muster_phase;

/* What a rank says about itself. Zero means "not known". */
typedef struct {
  uint32_t phase; /* muster_phase */
  uint32_t micro_step;
  uint64_t step;       /* optimizer steps finished since the start of the job */
  uint64_t first_step; /* the step this process resumed from */
  uint64_t target_steps;
  double loss; /* nats per token */
  double grad_norm;
  double lr;
  double tokens_per_second; /* of the whole job */
  double step_seconds;
  double productive_seconds; /* sum of step_seconds of this process */
  double checkpoint_seconds;
  double load_seconds;
  double eval_bits_per_byte;
  double first_eval_bits_per_byte;
} muster_rank_status;

/* Connects from the environment. Returns -ENOENT when not started by a worker (no link: run on). */
int muster_rank_open(muster_rank** link);
void muster_rank_close(muster_rank* link);
const char* muster_rank_error(const muster_rank* link);

/* Tells the worker that this rank runs. The world size it believes in must match. */
int muster_rank_hello(muster_rank* link, uint32_t rank, uint32_t world_size);

/* Publishes the status page: no system call, a seqlock write. */
void muster_rank_publish(muster_rank* link, const muster_rank_status* status);

/* Sum over the steps of what they took beyond 1.5 x their median; a part of productive_seconds.
 * Goes out with the next status. */
void muster_rank_stragglers(muster_rank* link, double seconds);

/* Whether the step this process resumed from came from the nodes' memory, not from storage. Goes
 * out with the next status, and all after it. */
void muster_rank_from_memory(muster_rank* link, int from_memory);

/* Collectives, so that a hang can be told from waiting. Around one that returns when it is over:
 * begin, done. Around one that runs beside other work: start; wait, where the thread stops for it;
 * done. Costs some stores. Several may be under way; the ring keeps the newest 32. */
typedef enum {
  MUSTER_COLLECTIVE_ALL_REDUCE = 1,
  MUSTER_COLLECTIVE_REDUCE_SCATTER = 2,
  MUSTER_COLLECTIVE_ALL_GATHER = 3,
  MUSTER_COLLECTIVE_BROADCAST = 4,
  MUSTER_COLLECTIVE_BARRIER = 5,
  MUSTER_COLLECTIVE_SEND = 6,
  MUSTER_COLLECTIVE_RECEIVE = 7,
  MUSTER_COLLECTIVE_ALL_TO_ALL = 8
} muster_collective;

typedef enum {
  MUSTER_GROUP_WORLD = 1,
  MUSTER_GROUP_DATA = 2,
  MUSTER_GROUP_TENSOR = 3,
  MUSTER_GROUP_PIPELINE = 4
} muster_group;

/* Return the number to be given to wait and done. The ranks of a group count its collectives alike,
 * so from several threads only in an order that is the same on all of them. */
uint64_t muster_rank_collective_begin(muster_rank* link, muster_collective operation,
                                      muster_group group, uint64_t bytes);
uint64_t muster_rank_collective_start(muster_rank* link, muster_collective operation,
                                      muster_group group, uint64_t bytes);
void muster_rank_collective_wait(muster_rank* link, uint64_t number);
void muster_rank_collective_done(muster_rank* link, uint64_t number);

/* The order page: what the worker wants. */
int muster_rank_wanted_stop(const muster_rank* link);      /* stop after this step, save first */
uint64_t muster_rank_wanted_save(const muster_rank* link); /* grows with each "save now" */

/* Gives a blob, gets every rank's blob in rank order: *blobs is one allocation of *size bytes
 * holding, per rank, a u32 little-endian length and the bytes. Free with free(). Collective over
 * all ranks of the attempt that use this key. -ETIMEDOUT after timeout_ms. */
int muster_rank_exchange(muster_rank* link, const char* key, const void* blob, size_t blob_size,
                         int timeout_ms, void** blobs, size_t* size);

/* Checkpoint commit, rank 0 only. Ask, go on training, poll; write COMMIT only when permitted;
 * then say so. The worker repeats what is not acknowledged, also across a coordinator's death. */
int muster_rank_commit_request(muster_rank* link, uint64_t step, const uint8_t manifest_sha256[32],
                               uint64_t bytes);

typedef enum {
  MUSTER_COMMIT_PENDING = 0,
  MUSTER_COMMIT_PERMITTED = 1,
  MUSTER_COMMIT_REFUSED = 2
} muster_commit_answer;

/* Answer to the request for `step`. Waits up to timeout_ms (0 = look only). */
int muster_rank_commit_poll(muster_rank* link, uint64_t step, int timeout_ms,
                            muster_commit_answer* answer);
int muster_rank_commit_done(muster_rank* link, uint64_t step, const uint8_t manifest_sha256[32],
                            uint64_t bytes);
int muster_rank_pruned(muster_rank* link, uint64_t step, uint64_t attempt);

/* What keeps this rank from saving as it should; people see it among the job's events, once. The
 * rank has at most one trouble of a kind: a new text takes the place of the old one, and NULL or ""
 * says that it is over. Text beyond 1024 bytes is cut off. */
typedef enum {
  MUSTER_SAVE_STORAGE = 1,  /* saves do not reach storage */
  MUSTER_SAVE_NO_SLOTS = 2, /* no memory for RAM slots */
  MUSTER_SAVE_NO_COPY = 3   /* no memory for a copy: training stands still while it saves */
} muster_save_trouble;

int muster_rank_save_trouble(muster_rank* link, muster_save_trouble kind, uint64_t step,
                             const char* text);

#ifdef __cplusplus
}
#endif

#endif /* MUSTER_RANK_H_ */
