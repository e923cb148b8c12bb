/* Heat in a plate: a program of your own whose state Muster keeps.
 *
 * The plate's rows are divided over the ranks. Each step every point takes on a part of its
 * neighbours' heat, and each row is cooled by the heat it had, which all ranks keep a table of. The
 * state is both: the plate, of which every rank has its rows, and the table, which every rank has.
 * The result does not depend on the number of ranks, down to the last bit.
 *
 *   heat ROWS COLUMNS STEPS [MICROSECONDS]      the last: how long to rest in each step
 *
 * Prints "heat HASH after STEPS steps" in the end; see configs/program-checkpoints.yaml.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rank/muster_checkpoint.h"
#include "rank/muster_checkpoint_mpi.h"

typedef struct {
  int rank, size;
  uint64_t rows, columns;
  uint64_t first, mine; /* this rank's rows */
  double* plate;        /* mine x columns */
  double* next;         /* with a row of the neighbour above, and one of the one below */
  double* table;        /* rows: the heat of each, after the last step */
  int *counts, *places; /* of the ranks' rows in the table */
} heat;

static uint64_t first_row(const heat* h, int rank) {
  return h->rows * (uint64_t)rank / (uint64_t)h->size;
}

static void begin(heat* h) {
  h->first = first_row(h, h->rank);
  h->mine = first_row(h, h->rank + 1) - h->first;
  h->plate = calloc(h->mine * h->columns + 1, sizeof(double));
  h->next = calloc((h->mine + 2) * h->columns, sizeof(double));
  h->table = calloc(h->rows, sizeof(double));
  h->counts = calloc((size_t)h->size, sizeof(int));
  h->places = calloc((size_t)h->size, sizeof(int));
  for (int r = 0; r < h->size; ++r) {
    h->places[r] = (int)first_row(h, r);
    h->counts[r] = (int)(first_row(h, r + 1) - first_row(h, r));
  }
  for (uint64_t i = 0; i < h->mine; ++i) {
    for (uint64_t j = 0; j < h->columns; ++j) {
      h->plate[i * h->columns + j] = (double)((h->first + i) * 31 + j * 17 % 101) / 7;
    }
  }
}

/* The next state, in `next` and `table_next`; the state itself is only read. */
static void compute(heat* h, double* table_next) {
  const size_t n = h->columns;
  double* const rows = h->next + n; /* mine rows, and one before and behind */
  const int above = h->rank > 0 ? h->rank - 1 : MPI_PROC_NULL;
  const int below = h->rank + 1 < h->size ? h->rank + 1 : MPI_PROC_NULL;
  memcpy(rows, h->plate, h->mine * n * sizeof(double));
  MPI_Sendrecv(h->plate, (int)n, MPI_DOUBLE, above, 1, rows + h->mine * n, (int)n, MPI_DOUBLE,
               below, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(h->plate + (h->mine - 1) * n, (int)n, MPI_DOUBLE, below, 2, h->next, (int)n,
               MPI_DOUBLE, above, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  double* upper = malloc(n * sizeof(double)); /* the row above, as it was */
  double* here = malloc(n * sizeof(double));
  double* heat_here = malloc((h->mine + 1) * sizeof(double));
  memcpy(upper, h->next, n * sizeof(double));
  for (uint64_t i = 0; i < h->mine; ++i) {
    double* row = rows + i * n;
    const double* lower = row + n;
    const double cooling = 1 / (1 + h->table[h->first + i] * 1e-9);
    memcpy(here, row, n * sizeof(double));
    heat_here[i] = 0;
    for (size_t j = 0; j < n; ++j) {
      const double left = here[j > 0 ? j - 1 : j];
      const double right = here[j + 1 < n ? j + 1 : j];
      row[j] = (here[j] * 0.6 + (left + right + upper[j] + lower[j]) * 0.1) * cooling;
      heat_here[i] += row[j];
    }
    memcpy(upper, here, n * sizeof(double));
  }
  MPI_Allgatherv(heat_here, (int)h->mine, MPI_DOUBLE, table_next, h->counts, h->places, MPI_DOUBLE,
                 MPI_COMM_WORLD);
  free(upper);
  free(here);
  free(heat_here);
}

/* FNV-1a over the rows' hashes, so that the ranks do not show in it. */
static uint64_t hash_of(const void* data, size_t bytes, uint64_t hash) {
  for (size_t i = 0; i < bytes; ++i) {
    hash = (hash ^ ((const unsigned char*)data)[i]) * 1099511628211ull;
  }
  return hash;
}

static uint64_t result(const heat* h) {
  uint64_t* mine = calloc(h->mine + 1, sizeof(uint64_t));
  uint64_t* all = calloc(h->rows, sizeof(uint64_t));
  for (uint64_t i = 0; i < h->mine; ++i) {
    mine[i] =
        hash_of(h->plate + i * h->columns, h->columns * sizeof(double), 14695981039346656037u);
  }
  MPI_Allgatherv(mine, (int)h->mine, MPI_UINT64_T, all, h->counts, h->places, MPI_UINT64_T,
                 MPI_COMM_WORLD);
  const uint64_t hash = hash_of(all, h->rows * sizeof(uint64_t),
                                hash_of(h->table, h->rows * sizeof(double), 14695981039346656037u));
  free(mine);
  free(all);
  return hash;
}

/* Ends the program; the worker starts all ranks again. */
static void check(int code, const muster_checkpoint* c) {
  if (code == 0) return;
  fprintf(stderr, "heat: %s\n", muster_checkpoint_error(c));
  _exit(1);
}

static void add_state(muster_checkpoint* c, const heat* h) {
  const uint64_t shape[2] = {h->rows, h->columns};
  const uint64_t offset[2] = {h->first, 0};
  const uint64_t extent[2] = {h->mine, h->columns};
  const muster_checkpoint_region plate = {.name = "plate",
                                          .dtype = MUSTER_DTYPE_F64,
                                          .axes = 2,
                                          .shape = shape,
                                          .offset = offset,
                                          .extent = extent,
                                          .data = h->plate};
  /* Every rank has all of it: one of them is chosen to write it. */
  const muster_checkpoint_region table = {
      .name = "table", .dtype = MUSTER_DTYPE_F64, .axes = 1, .shape = shape, .data = h->table};
  check(muster_checkpoint_add(c, &plate), c);
  check(muster_checkpoint_add(c, &table), c);
}

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  heat h = {0};
  MPI_Comm_rank(MPI_COMM_WORLD, &h.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &h.size);
  h.rows = count > 1 ? strtoull(arguments[1], NULL, 10) : 256;
  h.columns = count > 2 ? strtoull(arguments[2], NULL, 10) : 256;
  const uint64_t steps = count > 3 ? strtoull(arguments[3], NULL, 10) : 100;
  const useconds_t rest = count > 4 ? (useconds_t)strtoul(arguments[4], NULL, 10) : 0;
  if (h.rows < (uint64_t)h.size || h.columns == 0) {
    fprintf(stderr, "heat: %llu rows for %d ranks; give each rank one\n",
            (unsigned long long)h.rows, h.size);
    return 2;
  }
  begin(&h);

  muster_checkpoint_group group;
  muster_checkpoint* c = NULL;
  muster_checkpoint_mpi_group(MPI_COMM_WORLD, &group);
  check(muster_checkpoint_open(&c, NULL, &group), NULL);
  add_state(c, &h);
  uint64_t step = 0;
  check(muster_checkpoint_load(c, &step, NULL), c);
  if (h.rank == 0) printf("heat begins at step %llu\n", (unsigned long long)step);
  fflush(stdout);

  double* table_next = calloc(h.rows, sizeof(double));
  while (step < steps && !muster_checkpoint_stop_wanted(c)) {
    if (rest > 0) usleep(rest);
    compute(&h, table_next); /* while the engine still copies this step's state */
    check(muster_checkpoint_wait(c), c);
    memcpy(h.plate, h.next + h.columns, h.mine * h.columns * sizeof(double));
    memcpy(h.table, table_next, h.rows * sizeof(double));
    check(muster_checkpoint_step(c, ++step, NULL), c);
  }
  check(muster_checkpoint_finish(c), c);

  const int stopped = step < steps;
  const uint64_t hash = result(&h);
  if (h.rank == 0 && !stopped) {
    printf("heat %016llx after %llu steps\n", (unsigned long long)hash, (unsigned long long)step);
  }
  muster_checkpoint_close(c);
  muster_checkpoint_mpi_free(&group);
  MPI_Finalize();
  return stopped ? MUSTER_CHECKPOINT_STOPPED : 0;
}
