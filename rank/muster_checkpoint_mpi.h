/* The muster_checkpoint_group of an MPI program: header only, so that the engine itself needs no
 * MPI.
 *
 *   muster_checkpoint_group group;
 *   muster_checkpoint_mpi_group(MPI_COMM_WORLD, &group);
 *   ...
 *   muster_checkpoint_mpi_free(&group);   before MPI_Finalize
 *
 * Threads: the calls are made by the thread that calls the engine.
 */
#ifndef MUSTER_CHECKPOINT_MPI_H_
#define MUSTER_CHECKPOINT_MPI_H_

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "rank/muster_checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES = 1 << 28, MUSTER_CHECKPOINT_MPI_TAG = 1 };

static inline int muster_checkpoint_mpi_all_gather(void* context, const void* mine, size_t bytes,
                                                   void* all) {
  const MPI_Comm comm = *(const MPI_Comm*)context;
  if (bytes <= MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES) {
    return MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, comm);
  }
  /* Long ones by broadcasts of parts. */
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  for (int root = 0; root < size; ++root) {
    char* place = (char*)all + (size_t)root * bytes;
    if (root == rank) memcpy(place, mine, bytes);
    for (size_t begin = 0; begin < bytes; begin += MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES) {
      const size_t left = bytes - begin;
      const size_t part =
          left < MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES ? left : MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES;
      const int code = MPI_Bcast(place + begin, (int)part, MPI_BYTE, root, comm);
      if (code != MPI_SUCCESS) return code;
    }
  }
  return MPI_SUCCESS;
}

static inline size_t muster_checkpoint_mpi_messages(const size_t* bytes, int size, int without) {
  size_t messages = 0;
  for (int r = 0; r < size; ++r) {
    if (r == without) continue;
    messages +=
        (bytes[r] + MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES - 1) / MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES;
  }
  return messages;
}

/* Starts the messages with one rank; `send` or `receive` is NULL. */
static inline int muster_checkpoint_mpi_start(const char* send, char* receive, size_t bytes,
                                              int peer, MPI_Comm comm, MPI_Request** next) {
  for (size_t begin = 0; begin < bytes; begin += MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES) {
    const size_t left = bytes - begin;
    const size_t part =
        left < MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES ? left : MUSTER_CHECKPOINT_MPI_MESSAGE_BYTES;
    const int code = send != NULL ? MPI_Isend(send + begin, (int)part, MPI_BYTE, peer,
                                              MUSTER_CHECKPOINT_MPI_TAG, comm, *next)
                                  : MPI_Irecv(receive + begin, (int)part, MPI_BYTE, peer,
                                              MUSTER_CHECKPOINT_MPI_TAG, comm, *next);
    if (code != MPI_SUCCESS) return code;
    ++*next;
  }
  return MPI_SUCCESS;
}

static inline int muster_checkpoint_mpi_all_to_all(void* context, const void* send,
                                                   const size_t* send_bytes, void* receive,
                                                   const size_t* receive_bytes) {
  const MPI_Comm comm = *(const MPI_Comm*)context;
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const size_t messages = muster_checkpoint_mpi_messages(send_bytes, size, rank) +
                          muster_checkpoint_mpi_messages(receive_bytes, size, rank);
  MPI_Request* requests = (MPI_Request*)malloc((messages + 1) * sizeof(MPI_Request));
  if (requests == NULL) return MPI_ERR_NO_MEM;
  MPI_Request* next = requests;
  int code = MPI_SUCCESS;
  size_t at = 0;
  char* own = NULL;
  for (int r = 0; r < size && code == MPI_SUCCESS; at += receive_bytes[r], ++r) {
    if (r == rank) {
      own = (char*)receive + at;
    } else {
      code =
          muster_checkpoint_mpi_start(NULL, (char*)receive + at, receive_bytes[r], r, comm, &next);
    }
  }
  at = 0;
  for (int r = 0; r < size && code == MPI_SUCCESS; at += send_bytes[r], ++r) {
    if (r == rank) {
      if (send_bytes[r] > 0) memcpy(own, (const char*)send + at, send_bytes[r]);
    } else {
      code =
          muster_checkpoint_mpi_start((const char*)send + at, NULL, send_bytes[r], r, comm, &next);
    }
  }
  if (code == MPI_SUCCESS) {
    code = MPI_Waitall((int)(next - requests), requests, MPI_STATUSES_IGNORE);
  }
  free(requests);
  return code;
}

/* Collective over `comm`, which is duplicated: the engine's messages meet none of the program's. */
static inline int muster_checkpoint_mpi_group(MPI_Comm comm, muster_checkpoint_group* group) {
  MPI_Comm* own = (MPI_Comm*)malloc(sizeof(MPI_Comm));
  if (own == NULL) return MPI_ERR_NO_MEM;
  const int code = MPI_Comm_dup(comm, own);
  if (code != MPI_SUCCESS) {
    free(own);
    return code;
  }
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(*own, &rank);
  MPI_Comm_size(*own, &size);
  group->context = own;
  group->rank = (uint32_t)rank;
  group->size = (uint32_t)size;
  group->all_gather = muster_checkpoint_mpi_all_gather;
  group->all_to_all = muster_checkpoint_mpi_all_to_all;
  return MPI_SUCCESS;
}

static inline void muster_checkpoint_mpi_free(muster_checkpoint_group* group) {
  MPI_Comm_free((MPI_Comm*)group->context);
  free(group->context);
  group->context = NULL;
}

#ifdef __cplusplus
}
#endif

#endif /* MUSTER_CHECKPOINT_MPI_H_ */
