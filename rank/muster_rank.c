#include "rank/muster_rank.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rank/collective_ring.h"
#include "rank/link.h"
#include "rank/pages.h"

/* The shim's loop answers in microseconds; this long without an answer and it is stuck. */
static const int kHelloTimeoutMs = 30000;
static const int kSendTimeoutMs = 30000;

enum { kAnswersMax = 16 };

typedef struct {
  uint64_t step;
  muster_commit_answer answer;
} commit_state;

struct muster_rank {
  muster_link link;
  muster_pages* pages; /* NULL when the shim gave none */
  pthread_mutex_t publish_lock;
  uint64_t updates;
  double straggler_seconds; /* for the next publish, as flags */
  uint32_t flags;
  uint64_t sequences[256]; /* collectives begun or started, by group */
  uint32_t exchanges;
  commit_state commits[kAnswersMax]; /* the newest requests, round robin */
  unsigned commits_next;
  char error[512];
};

static _Thread_local char open_error[512] = "";

static int fail(char* text, size_t size, int error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, size, format, arguments);
  va_end(arguments);
  return error;
}
#define FAIL(rank, code, ...) fail((rank)->error, sizeof((rank)->error), (code), __VA_ARGS__)

static int64_t deadline_in_ms(int timeout_ms) {
  return muster_now_ns() + (int64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000;
}

const char* muster_rank_error(const muster_rank* rank) { return rank ? rank->error : open_error; }

static int fd_from_env(const char* name, int* fd) {
  const char* text = getenv(name);
  if (!text || !*text) return -ENOENT;
  char* end = NULL;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (errno || *end || value < 0 || value > INT_MAX) return -EINVAL;
  *fd = (int)value;
  return 0;
}

static int open_pages(muster_rank* rank) {
  int fd = -1;
  int error = fd_from_env("MUSTER_PAGES_FD", &fd);
  if (error == -ENOENT) return 0;
  struct stat info;
  if (error || fstat(fd, &info) || info.st_size < (off_t)MUSTER_PAGES_SIZE) {
    return FAIL(rank, -EBADF,
                "MUSTER_PAGES_FD=%s is not the pages of a rank; start the program "
                "through muster, or unset it",
                getenv("MUSTER_PAGES_FD"));
  }
  void* pages = mmap(NULL, MUSTER_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (pages == MAP_FAILED) {
    error = errno;
    return FAIL(rank, -error, "map the rank's pages: %s", strerror(error));
  }
  rank->pages = pages;
  if (rank->pages->status.magic != MUSTER_PAGES_MAGIC ||
      rank->pages->status.version != MUSTER_PAGES_VERSION) {
    return FAIL(rank, -EPROTO,
                "the shim's pages have version %u, this program knows %u; build "
                "both from one release",
                rank->pages->status.version, MUSTER_PAGES_VERSION);
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return 0;
}

int muster_rank_open(muster_rank** out) {
  *out = NULL;
  int fd = -1;
  int error = fd_from_env("MUSTER_LINK_FD", &fd);
  if (error == -ENOENT) {
    return fail(open_error, sizeof(open_error), error,
                "no rank link: MUSTER_LINK_FD is not set (not started by a worker)");
  }
  struct stat info;
  if (error || fstat(fd, &info) || !S_ISSOCK(info.st_mode)) {
    return fail(open_error, sizeof(open_error), -EBADF,
                "MUSTER_LINK_FD=%s is not an open socket; start the program through muster, or "
                "unset it",
                getenv("MUSTER_LINK_FD"));
  }
  muster_rank* rank = calloc(1, sizeof(*rank));
  if (!rank) return fail(open_error, sizeof(open_error), -ENOMEM, "open rank link: no memory");
  rank->link.fd = fd;
  pthread_mutex_init(&rank->publish_lock, NULL);
  error = open_pages(rank);
  if (error) {
    memcpy(open_error, rank->error, sizeof(open_error));
    rank->link.fd = -1;
    muster_rank_close(rank);
    return error;
  }
  /* Children of the rank must not hold its link open. */
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  *out = rank;
  return 0;
}

void muster_rank_close(muster_rank* rank) {
  if (!rank) return;
  if (rank->pages) munmap(rank->pages, MUSTER_PAGES_SIZE);
  if (rank->link.fd >= 0) close(rank->link.fd);
  pthread_mutex_destroy(&rank->publish_lock);
  free(rank);
}

static int link_failed(muster_rank* rank, int error, const char* what) {
  if (error == -EPIPE) return FAIL(rank, error, "%s: the worker's shim is gone", what);
  return FAIL(rank, error, "%s: %s", what, strerror(-error));
}

static int receive_commit_answer(muster_rank* rank, const muster_frame_header* header,
                                 const char* body) {
  muster_frame_answer answer;
  if (header->size < sizeof(answer)) return -EPROTO;
  memcpy(&answer, body, sizeof(answer));
  for (unsigned i = 0; i < kAnswersMax; ++i) {
    if (rank->commits[i].step == answer.step) {
      rank->commits[i].answer = (muster_commit_answer)answer.answer;
      if (answer.answer == MUSTER_COMMIT_REFUSED) {
        FAIL(rank, 0, "commit of step %llu refused: %s", (unsigned long long)answer.step,
             body + sizeof(answer));
      }
    }
  }
  return 0;
}

/* Takes frames until one of `type` with id `id` comes. Commit answers are kept on the way, answers
 * to requests given up before are dropped. */
static int await_reply(muster_rank* rank, muster_frame_type type, uint32_t id, int64_t deadline_ns,
                       muster_frame_header* header, char** body) {
  for (;;) {
    int error = muster_link_receive(&rank->link, deadline_ns, header, body);
    if (error) return error;
    muster_frame_reply reply = {0, 0};
    if (header->type == MUSTER_FRAME_COMMIT_ANSWER) {
      error = receive_commit_answer(rank, header, *body);
    } else if (header->size < sizeof(reply)) {
      error = -EPROTO;
    } else {
      memcpy(&reply, *body, sizeof(reply));
      if (header->type == type && reply.id == id) return 0;
    }
    free(*body);
    *body = NULL;
    if (error) return error;
  }
}

int muster_rank_hello(muster_rank* rank, uint32_t number, uint32_t world_size) {
  const muster_frame_hello hello = {.rank = number, .world_size = world_size};
  const muster_piece piece = {&hello, sizeof(hello)};
  const int64_t deadline_ns = deadline_in_ms(kHelloTimeoutMs);
  int error = muster_link_send(&rank->link, MUSTER_FRAME_HELLO, &piece, 1, deadline_ns);
  muster_frame_header header;
  char* body = NULL;
  if (!error) {
    error = await_reply(rank, MUSTER_FRAME_HELLO_REPLY, 0, deadline_ns, &header, &body);
  }
  if (error) return link_failed(rank, error, "say hello to the worker");
  muster_frame_reply reply;
  memcpy(&reply, body, sizeof(reply));
  if (reply.error) FAIL(rank, 0, "%s", body + sizeof(reply));
  free(body);
  return reply.error;
}

void muster_rank_publish(muster_rank* rank, const muster_rank_status* status) {
  if (!rank->pages) return;
  muster_status_body body;
  memset(&body, 0, sizeof(body));
  body.status = *status;
  body.generation = rank->pages->order.generation;
  body.monotonic_ns = muster_now_ns();
  pthread_mutex_lock(&rank->publish_lock);
  body.updates = ++rank->updates;
  body.straggler_seconds = rank->straggler_seconds;
  body.flags = rank->flags;
  muster_pages_write_status(&rank->pages->status, &body);
  pthread_mutex_unlock(&rank->publish_lock);
}

void muster_rank_stragglers(muster_rank* rank, double seconds) {
  pthread_mutex_lock(&rank->publish_lock);
  rank->straggler_seconds = seconds;
  pthread_mutex_unlock(&rank->publish_lock);
}

void muster_rank_from_memory(muster_rank* rank, int from_memory) {
  pthread_mutex_lock(&rank->publish_lock);
  rank->flags = from_memory ? MUSTER_STATUS_FROM_MEMORY : 0;
  pthread_mutex_unlock(&rank->publish_lock);
}

static uint64_t add_collective(muster_rank* rank, muster_entry_state state,
                               muster_collective operation, muster_group group, uint64_t bytes) {
  if (!rank->pages) return 0;
  const uint64_t sequence =
      __atomic_add_fetch(&rank->sequences[(unsigned)group % 256], 1, __ATOMIC_RELAXED);
  return muster_ring_add(&rank->pages->status, state, operation, group, sequence, bytes,
                         muster_now_ns());
}

uint64_t muster_rank_collective_begin(muster_rank* rank, muster_collective operation,
                                      muster_group group, uint64_t bytes) {
  return add_collective(rank, MUSTER_ENTRY_INSIDE, operation, group, bytes);
}

uint64_t muster_rank_collective_start(muster_rank* rank, muster_collective operation,
                                      muster_group group, uint64_t bytes) {
  return add_collective(rank, MUSTER_ENTRY_STARTED, operation, group, bytes);
}

void muster_rank_collective_wait(muster_rank* rank, uint64_t number) {
  if (rank->pages) muster_ring_wait(&rank->pages->status, number, muster_now_ns());
}

void muster_rank_collective_done(muster_rank* rank, uint64_t number) {
  if (rank->pages) muster_ring_done(&rank->pages->status, number);
}

int muster_rank_wanted_stop(const muster_rank* rank) {
  return rank->pages && __atomic_load_n(&rank->pages->order.stop, __ATOMIC_ACQUIRE) != 0;
}

uint64_t muster_rank_wanted_save(const muster_rank* rank) {
  return rank->pages ? __atomic_load_n(&rank->pages->order.save, __ATOMIC_ACQUIRE) : 0;
}

int muster_rank_exchange(muster_rank* rank, const char* key, const void* blob, size_t blob_size,
                         int timeout_ms, void** blobs, size_t* size) {
  *blobs = NULL;
  *size = 0;
  const size_t key_size = strlen(key);
  if (key_size == 0 || key_size > MUSTER_EXCHANGE_KEY_MAX) {
    return FAIL(rank, -EINVAL, "exchange: the key has %zu bytes; 1 to %u are allowed", key_size,
                MUSTER_EXCHANGE_KEY_MAX);
  }
  const muster_frame_exchange exchange = {.id = ++rank->exchanges, .key_size = (uint32_t)key_size};
  const muster_piece pieces[] = {{&exchange, sizeof(exchange)}, {key, key_size}, {blob, blob_size}};
  const int64_t deadline_ns = deadline_in_ms(timeout_ms);
  int error = muster_link_send(&rank->link, MUSTER_FRAME_EXCHANGE, pieces, 3, deadline_ns);
  muster_frame_header header;
  char* body = NULL;
  if (!error) {
    error =
        await_reply(rank, MUSTER_FRAME_EXCHANGE_RESULT, exchange.id, deadline_ns, &header, &body);
  }
  if (error == -ETIMEDOUT) {
    return FAIL(rank, error, "exchange \"%s\": not every rank came within %d ms", key, timeout_ms);
  }
  if (error) return link_failed(rank, error, "exchange");
  muster_frame_reply reply;
  memcpy(&reply, body, sizeof(reply));
  if (reply.error) {
    FAIL(rank, 0, "exchange \"%s\": %s", key, body + sizeof(reply));
    free(body);
    return reply.error;
  }
  *size = header.size - sizeof(reply);
  memmove(body, body + sizeof(reply), *size);
  *blobs = body;
  return 0;
}

static int send_commit(muster_rank* rank, muster_frame_type type, const char* what, uint64_t step,
                       const uint8_t manifest_sha256[32], uint64_t bytes) {
  muster_frame_commit commit = {.step = step, .bytes = bytes};
  memcpy(commit.manifest_sha256, manifest_sha256, 32);
  const muster_piece piece = {&commit, sizeof(commit)};
  const int error = muster_link_send(&rank->link, type, &piece, 1, deadline_in_ms(kSendTimeoutMs));
  return error ? link_failed(rank, error, what) : 0;
}

static commit_state* find_commit(muster_rank* rank, uint64_t step) {
  for (unsigned i = 0; i < kAnswersMax; ++i) {
    if (rank->commits[i].step == step) return &rank->commits[i];
  }
  return NULL;
}

int muster_rank_commit_request(muster_rank* rank, uint64_t step, const uint8_t manifest_sha256[32],
                               uint64_t bytes) {
  if (step == 0) return FAIL(rank, -EINVAL, "ask to commit: step 0 is never saved");
  commit_state* state = find_commit(rank, step);
  if (!state) state = &rank->commits[rank->commits_next++ % kAnswersMax];
  state->step = step;
  state->answer = MUSTER_COMMIT_PENDING;
  return send_commit(rank, MUSTER_FRAME_COMMIT_REQUEST, "ask to commit", step, manifest_sha256,
                     bytes);
}

int muster_rank_commit_poll(muster_rank* rank, uint64_t step, int timeout_ms,
                            muster_commit_answer* answer) {
  *answer = MUSTER_COMMIT_PENDING;
  const commit_state* state = step ? find_commit(rank, step) : NULL;
  if (!state) {
    return FAIL(rank, -EINVAL, "poll for step %llu, which was not asked for",
                (unsigned long long)step);
  }
  const int64_t deadline_ns = deadline_in_ms(timeout_ms);
  for (;;) {
    *answer = state->answer;
    if (*answer != MUSTER_COMMIT_PENDING) return 0;
    muster_frame_header header;
    char* body = NULL;
    int error = muster_link_receive(&rank->link, deadline_ns, &header, &body);
    if (error == -ETIMEDOUT) return 0;
    if (!error && header.type == MUSTER_FRAME_COMMIT_ANSWER) {
      error = receive_commit_answer(rank, &header, body);
    }
    free(body);
    if (error) return link_failed(rank, error, "wait for the commit permit");
  }
}

int muster_rank_commit_done(muster_rank* rank, uint64_t step, const uint8_t manifest_sha256[32],
                            uint64_t bytes) {
  return send_commit(rank, MUSTER_FRAME_COMMIT_DONE, "report the commit", step, manifest_sha256,
                     bytes);
}

int muster_rank_pruned(muster_rank* rank, uint64_t step, uint64_t attempt) {
  const muster_frame_pruned pruned = {.step = step, .attempt = attempt};
  const muster_piece piece = {&pruned, sizeof(pruned)};
  const int error =
      muster_link_send(&rank->link, MUSTER_FRAME_PRUNED, &piece, 1, deadline_in_ms(kSendTimeoutMs));
  return error ? link_failed(rank, error, "report a pruned checkpoint") : 0;
}

int muster_rank_save_trouble(muster_rank* rank, muster_save_trouble kind, uint64_t step,
                             const char* text) {
  const muster_frame_save_trouble trouble = {.step = step, .kind = (uint32_t)kind};
  const size_t size = text ? strnlen(text, MUSTER_SAVE_TROUBLE_BYTES_MAX) : 0;
  const muster_piece pieces[] = {{&trouble, sizeof(trouble)}, {text, size}};
  const int error = muster_link_send(&rank->link, MUSTER_FRAME_SAVE_TROUBLE, pieces, 2,
                                     deadline_in_ms(kSendTimeoutMs));
  return error ? link_failed(rank, error, "report a save in trouble") : 0;
}
