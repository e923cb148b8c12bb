/* Counts the calls that change files below one folder, and dies by SIGKILL at the i-th.
 *
 * LD_PRELOAD this; MUSTER_CRASH_FOLDER names the folder (a path without links), MUSTER_CRASH_PAGE
 * the page of crash_page.h. Without them it only passes on. Counted: open with O_CREAT, write,
 * pwrite, fdatasync, fsync, ftruncate, rename, link, unlink, rmdir, mkdir, and their 64 and *at
 * kinds as far as the project and SQLite use them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/crash_page.h"

#define FDS_MAX 65536

static struct CrashPage* page;
static const char* folder;
static size_t folder_bytes;
static char ours[FDS_MAX];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void Begin(void) {
  const char* path = getenv("MUSTER_CRASH_PAGE");
  folder = getenv("MUSTER_CRASH_FOLDER");
  if (path == NULL || folder == NULL) return;
  folder_bytes = strlen(folder);
  const int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) abort();
  close(fd);
}

static int IsBelow(const char* path) {
  return page != NULL && path != NULL && strncmp(path, folder, folder_bytes) == 0 &&
         (path[folder_bytes] == '/' || path[folder_bytes] == '\0');
}

static int IsOurs(int fd) { return fd >= 0 && fd < FDS_MAX && ours[fd]; }

static void Die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Counts a call; 0: make it; 1: make it and die; 2: make half of it and die. */
static int Count(int counted) {
  if (!counted) return 0;
  const uint64_t call = __atomic_fetch_add(&page->calls, 1, __ATOMIC_SEQ_CST);
  if (call != page->at) return 0;
  if (page->when == CRASH_BEFORE) Die();
  return page->when == CRASH_AFTER ? 1 : 2;
}

#define PASS(type, counted, call)  \
  const int fate = Count(counted); \
  if (fate == 2) Die();            \
  const type result = call;        \
  if (fate == 1) Die();            \
  return result

static int Remember(int fd, const char* path) {
  if (fd >= 0 && fd < FDS_MAX) ours[fd] = (char)IsBelow(path);
  return fd;
}

#define OPEN(name)                                                                                \
  int name(const char* path, int flags, ...) {                                                    \
    va_list arguments;                                                                            \
    va_start(arguments, flags);                                                                   \
    const mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;                        \
    va_end(arguments);                                                                            \
    PASS(int, (flags & O_CREAT) && IsBelow(path), Remember(REAL(name)(path, flags, mode), path)); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                       \
  int name(int at, const char* path, int flags, ...) {                     \
    va_list arguments;                                                     \
    va_start(arguments, flags);                                            \
    const mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments);                                                     \
    PASS(int, (flags & O_CREAT) && IsBelow(path),                          \
         Remember(REAL(name)(at, path, flags, mode), path));               \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
  if (IsOurs(fd)) ours[fd] = 0;
  return REAL(close)(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  const int fate = Count(IsOurs(fd));
  const ssize_t result = REAL(write)(fd, bytes, fate == 2 ? size / 2 : size);
  if (fate != 0) Die();
  return result;
}

#define PWRITE(name, offset_type)                                                      \
  ssize_t name(int fd, const void* bytes, size_t size, offset_type offset) {           \
    const int fate = Count(IsOurs(fd));                                                \
    const ssize_t result = REAL(name)(fd, bytes, fate == 2 ? size / 2 : size, offset); \
    if (fate != 0) Die();                                                              \
    return result;                                                                     \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

int fdatasync(int fd) { PASS(int, IsOurs(fd), REAL(fdatasync)(fd)); }
int fsync(int fd) { PASS(int, IsOurs(fd), REAL(fsync)(fd)); }
int ftruncate(int fd, off_t size) { PASS(int, IsOurs(fd), REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) { PASS(int, IsOurs(fd), REAL(ftruncate64)(fd, size)); }
int rename(const char* from, const char* to) { PASS(int, IsBelow(to), REAL(rename)(from, to)); }
int link(const char* from, const char* to) { PASS(int, IsBelow(to), REAL(link)(from, to)); }
int unlink(const char* path) { PASS(int, IsBelow(path), REAL(unlink)(path)); }
int rmdir(const char* path) { PASS(int, IsBelow(path), REAL(rmdir)(path)); }
int mkdir(const char* path, mode_t mode) { PASS(int, IsBelow(path), REAL(mkdir)(path, mode)); }
