/* Storage that breaks while programs run: calls that touch one folder fail, or stand still, as a
 * shared page says, and go on when it says so.
 *
 * LD_PRELOAD this; MUSTER_TEST_FAULT_FOLDER names the folder (a path without links),
 * MUSTER_TEST_FAULT_PAGE the page of fault_page.h. Without them it only passes on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/crash/fault_page.h"

#define FDS_MAX 65536
#define LOOK_AGAIN_US 5000

static struct FaultPage* page;
static const char* folder;
static size_t folder_bytes;
static int is_rank;
static char ours[FDS_MAX];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void Begin(void) {
  const char* path = getenv("MUSTER_TEST_FAULT_PAGE");
  folder = getenv("MUSTER_TEST_FAULT_FOLDER");
  if (path == NULL || folder == NULL) return;
  folder_bytes = strlen(folder);
  is_rank = getenv("MUSTER_RANK") != NULL;
  const int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return; /* the test is over */
  void* mapped = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  close(fd);
  page = mapped;
}

static int IsBelow(const char* path) {
  return page != NULL && path != NULL && strncmp(path, folder, folder_bytes) == 0 &&
         (path[folder_bytes] == '/' || path[folder_bytes] == '\0');
}

static int IsOurs(int fd) { return fd >= 0 && fd < FDS_MAX && ours[fd]; }

/* 1: the call fails, errno is set. */
static int Hit(int touches, uint32_t call) {
  if (!touches || page->error == 0 || (page->calls & call) == 0) return 0;
  __atomic_fetch_add(is_rank ? &page->hit_ranks : &page->hit_others, 1, __ATOMIC_RELAXED);
  while (page->error == FAULT_STALL && (page->calls & call) != 0) usleep(LOOK_AGAIN_US);
  const uint32_t error = page->error;
  if (error == 0 || error == FAULT_STALL || (page->calls & call) == 0) return 0;
  errno = (int)error;
  return 1;
}

static int Remember(int fd, const char* path) {
  if (fd >= 0 && fd < FDS_MAX) ours[fd] = (char)IsBelow(path);
  return fd;
}

#define OPEN(name)                                                                    \
  int name(const char* path, int flags, ...) {                                        \
    va_list arguments;                                                                \
    va_start(arguments, flags);                                                       \
    const mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;            \
    va_end(arguments);                                                                \
    if (Hit(IsBelow(path), (flags & O_CREAT) ? FAULT_CREATE : FAULT_LOOK)) return -1; \
    return Remember(REAL(name)(path, flags, mode), path);                             \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  if (IsOurs(fd)) ours[fd] = 0;
  return REAL(close)(fd);
}

#define FAIL(touches, call) \
  if (Hit(touches, call)) return -1

ssize_t write(int fd, const void* bytes, size_t size) {
  FAIL(IsOurs(fd), FAULT_WRITE);
  return REAL(write)(fd, bytes, size);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  FAIL(IsOurs(fd), FAULT_WRITE);
  return REAL(pwrite)(fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  FAIL(IsOurs(fd), FAULT_WRITE);
  return REAL(pwrite64)(fd, bytes, size, offset);
}
int ftruncate(int fd, off_t size) {
  FAIL(IsOurs(fd), FAULT_WRITE);
  return REAL(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size) {
  FAIL(IsOurs(fd), FAULT_WRITE);
  return REAL(ftruncate64)(fd, size);
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  FAIL(IsOurs(fd), FAULT_CREATE);
  return REAL(fallocate)(fd, mode, offset, size);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  FAIL(IsOurs(fd), FAULT_CREATE);
  return REAL(fallocate64)(fd, mode, offset, size);
}
int fdatasync(int fd) {
  FAIL(IsOurs(fd), FAULT_SYNC);
  return REAL(fdatasync)(fd);
}
int fsync(int fd) {
  FAIL(IsOurs(fd), FAULT_SYNC);
  return REAL(fsync)(fd);
}
int rename(const char* from, const char* to) {
  FAIL(IsBelow(to), FAULT_NAME);
  return REAL(rename)(from, to);
}
int link(const char* from, const char* to) {
  FAIL(IsBelow(to), FAULT_NAME);
  return REAL(link)(from, to);
}
int unlink(const char* path) {
  FAIL(IsBelow(path), FAULT_REMOVE);
  return REAL(unlink)(path);
}
int rmdir(const char* path) {
  FAIL(IsBelow(path), FAULT_REMOVE);
  return REAL(rmdir)(path);
}
int mkdir(const char* path, mode_t mode) {
  FAIL(IsBelow(path), FAULT_CREATE);
  return REAL(mkdir)(path, mode);
}
int stat(const char* path, struct stat* info) {
  FAIL(IsBelow(path), FAULT_LOOK);
  return REAL(stat)(path, info);
}
int lstat(const char* path, struct stat* info) {
  FAIL(IsBelow(path), FAULT_LOOK);
  return REAL(lstat)(path, info);
}
int statvfs(const char* path, struct statvfs* info) {
  FAIL(IsBelow(path), FAULT_LOOK);
  return REAL(statvfs)(path, info);
}
DIR* opendir(const char* path) {
  if (Hit(IsBelow(path), FAULT_LOOK)) return NULL;
  return REAL(opendir)(path);
}
