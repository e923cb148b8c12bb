/* Checkpoints for any program: in the memory of the nodes and on storage, loaded into any layout.
 *
 * The program says which of its memory makes its state; the engine copies it while the program
 * computes, keeps it in RAM slots that outlive the rank (and, copied, the node), writes it to
 * storage, commits it with the coordinator's leave, and after a failure gives back the newest step
 * there is. Where checkpoints lie, how often and how many: the job file's `checkpoint` says it, and
 * the worker tells the ranks. A program without a `checkpoint` section, or started by nobody, runs
 * with the same calls: nothing is loaded then, and nothing saved.
 *
 *   muster_checkpoint_open(&c, NULL, &group);
 *   muster_checkpoint_add(c, &region);                  once for each part of the state
 *   muster_checkpoint_load(c, &step, &state);
 *   while (step < last && !muster_checkpoint_stop_wanted(c)) {
 *     ... compute the next state, without changing this one ...
 *     muster_checkpoint_wait(c);
 *     ... now change it ...
 *     muster_checkpoint_step(c, ++step, NULL);
 *   }
 *   muster_checkpoint_finish(c);
 *   muster_checkpoint_close(c);
 *
 * Told to stop, a program ends with exit code MUSTER_CHECKPOINT_STOPPED once finish has returned,
 * so that the worker knows it was no failure. A whole example:
 * configs/examples/heat.c; docs/operations/program_checkpoints.md.
 *
 * Collective: open, load, step, finish. Every rank of the group makes these calls, in the same
 *          order, with the same steps.
 * Threads: one thread per handle. Threads of the engine's own copy and write.
 * Errors:  0 or a negative errno; muster_checkpoint_error() says it in words. After an error of a
 *          collective call the program should end: the worker starts it again. A save that fails is
 *          none: it is a line on stderr and an event of the job, and is tried again.
 */
#ifndef MUSTER_CHECKPOINT_H_
#define MUSTER_CHECKPOINT_H_

#include <stddef.h>
#include <stdint.h>

#include "rank/muster_rank.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MUSTER_CHECKPOINT_STOPPED 75

typedef struct muster_checkpoint muster_checkpoint;

/* How the program's ranks exchange bytes; every call is made by all of them. Functions return 0, or
 * anything else when the exchange failed. rank/muster_checkpoint_mpi.h has it for MPI. */
typedef struct {
  void* context;
  uint32_t rank;
  uint32_t size;
  /* Every rank gives `bytes` bytes, the same number everywhere; `all` gets them by rank. */
  int (*all_gather)(void* context, const void* mine, size_t bytes, void* all);
  /* send_bytes[r] bytes for every rank r, one after the other in `send`; `receive` gets
   * receive_bytes[r] from every rank r in the same way. Counts may be 0, and large. */
  int (*all_to_all)(void* context, const void* send, const size_t* send_bytes, void* receive,
                    const size_t* receive_bytes);
} muster_checkpoint_group;

typedef enum {
  MUSTER_DTYPE_F64 = 1,
  MUSTER_DTYPE_F32 = 2,
  MUSTER_DTYPE_BF16 = 3,
  MUSTER_DTYPE_F16 = 4,
  MUSTER_DTYPE_I64 = 5,
  MUSTER_DTYPE_I32 = 6,
  MUSTER_DTYPE_U8 = 7
} muster_dtype;

typedef enum {
  MUSTER_WRITER_ANY = 0,  /* one of the ranks that have this very part, so that all write alike */
  MUSTER_WRITER_THIS = 1, /* this rank; at most one says so */
  MUSTER_WRITER_OTHER = 2 /* not this rank: it only gets it when loading */
} muster_writer;

/* A part of a named array: `extent` elements from `offset` on each axis, row-major and packed in
 * `data`. What the ranks write must make every array whole, without overlap. */
typedef struct {
  const char* name;
  muster_dtype dtype;
  uint32_t axes;          /* 0: a single number, and the rest is NULL; at most 8 */
  const uint64_t* shape;  /* of the whole array */
  const uint64_t* offset; /* NULL: from the beginning */
  const uint64_t* extent; /* NULL: all of it */
  void* data;
  muster_writer writer;
} muster_checkpoint_region;

/* `link`: the program's own, over which it says hello and publishes its status (then see
 * muster_checkpoint_status); NULL: the engine does both, if a worker started this program. `group`:
 * NULL for a program of one rank. Both outlive the handle; *group is copied. On failure *c is NULL
 * and muster_checkpoint_error(NULL) says why. */
int muster_checkpoint_open(muster_checkpoint** c, muster_rank* link,
                           const muster_checkpoint_group* group);

/* Before load; its memory stays where it is until close. Names and sizes are copied. */
int muster_checkpoint_add(muster_checkpoint* c, const muster_checkpoint_region* region);

/* Fills every region with the newest step that is whole and verified, whichever ranks, nodes or
 * attempt saved it. *step = 0: there is none, and the regions hold whatever they held. *state: the
 * text saved with it, "{}" if none; valid until the next call; may be NULL. */
int muster_checkpoint_load(muster_checkpoint* c, uint64_t* step, const char** state);

/* The regions hold the state after `step`, which is greater than the one before. Begins what is
 * due: a save in memory, a save to storage, one that was ordered. Until wait the regions must not
 * change. `state`: a JSON object of at most 32 KiB, the same on every rank, saved with it; NULL:
 * "{}". */
int muster_checkpoint_step(muster_checkpoint* c, uint64_t step, const char* state);

/* Returns when the regions may change. No collective; usually it returns at once. */
int muster_checkpoint_wait(muster_checkpoint* c);

/* The program shall finish now. The same on every rank after a step. */
int muster_checkpoint_stop_wanted(const muster_checkpoint* c);

/* Saves the last step durably and sees it committed. -ETIMEDOUT when storage or the coordinator did
 * not take it for three minutes, or one after a stop; older checkpoints are as they were. */
int muster_checkpoint_finish(muster_checkpoint* c);

/* For programs that publish their status themselves: fills in step, first_step, load_seconds,
 * checkpoint_seconds, step_seconds and productive_seconds, and leaves the rest alone. */
void muster_checkpoint_status(const muster_checkpoint* c, muster_rank_status* status);

/* What was begun and not finished is given up; NULL is fine. */
void muster_checkpoint_close(muster_checkpoint* c);

/* Words for what failed last; NULL: for what open said last on this thread. */
const char* muster_checkpoint_error(const muster_checkpoint* c);

#ifdef __cplusplus
}
#endif

#endif /* MUSTER_CHECKPOINT_H_ */
