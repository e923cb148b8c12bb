/* A rank for tests: joins MPI, proves that the world is right, says so, and then does as told:
 *   sum              allreduce, exchange over the link, end with 0
 *   wait             after that, wait to be stopped: exit code 75
 *   hang             after that, never end
 * Prints "rank R of N sum S" once all of it was right.
 */
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rank/muster_rank.h"

static int fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  return 1;
}

static void pause_a_little(void) {
  const struct timespec pause = {0, 10000000};
  nanosleep(&pause, NULL);
}

int main(int count, char** arguments) {
  const char* mode = count > 1 ? arguments[1] : "sum";
  MPI_Init(&count, &arguments);
  int rank = -1;
  int size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  muster_rank* link = NULL;
  if (muster_rank_open(&link)) return fail(muster_rank_error(NULL));
  if (muster_rank_hello(link, (uint32_t)rank, (uint32_t)size)) return fail(muster_rank_error(link));

  enum { kNumbers = 100000 };
  static double numbers[kNumbers];
  for (int i = 0; i < kNumbers; ++i) numbers[i] = rank + 1;
  MPI_Allreduce(MPI_IN_PLACE, numbers, kNumbers, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  for (int i = 0; i < kNumbers; ++i) {
    if (numbers[i] != size * (size + 1) / 2.0) return fail("wrong sum");
  }

  char blob[32];
  snprintf(blob, sizeof(blob), "blob of %d", rank);
  void* blobs = NULL;
  size_t bytes = 0;
  for (int turn = 0; turn < 2; ++turn) {
    if (muster_rank_exchange(link, "test", blob, strlen(blob), 30000, &blobs, &bytes)) {
      return fail(muster_rank_error(link));
    }
    const char* at = blobs;
    for (int peer = 0; peer < size; ++peer) {
      uint32_t length;
      memcpy(&length, at, sizeof(length));
      snprintf(blob, sizeof(blob), "blob of %d", peer);
      if (length != strlen(blob) || memcmp(at + 4, blob, length)) return fail("wrong blob");
      at += 4 + length;
    }
    free(blobs);
    snprintf(blob, sizeof(blob), "blob of %d", rank);
  }
  muster_rank_status status = {.phase = MUSTER_PHASE_STEP, .step = 41, .loss = 2.5};
  muster_rank_publish(link, &status);
  printf("rank %d of %d sum %g\n", rank, size, numbers[0]);
  fflush(stdout);

  if (!strcmp(mode, "hang")) {
    for (;;) pause_a_little();
  }
  if (!strcmp(mode, "wait")) {
    while (!muster_rank_wanted_stop(link)) pause_a_little();
    MPI_Finalize();
    return 75;
  }
  MPI_Finalize();
  muster_rank_close(link);
  return 0;
}
