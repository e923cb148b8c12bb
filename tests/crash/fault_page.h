/* What a test and the processes whose storage it breaks share: a file of this size, mapped by all.
 */
#pragma once

#include <stdint.h>

#define FAULT_STALL 0xffffffffU

/* The calls that fail, or stand still. */
enum FaultCalls {
  FAULT_CREATE = 1,  /* open with O_CREAT, mkdir, fallocate */
  FAULT_WRITE = 2,   /* write, pwrite, ftruncate */
  FAULT_SYNC = 4,    /* fdatasync, fsync */
  FAULT_NAME = 8,    /* rename, link */
  FAULT_REMOVE = 16, /* unlink, rmdir */
  FAULT_LOOK = 32    /* open without O_CREAT, opendir, stat, statvfs */
};

struct FaultPage {
  volatile uint32_t error; /* errno; 0: storage is well; FAULT_STALL: until it changes */
  volatile uint32_t calls; /* FaultCalls, or-ed */
  uint64_t hit_ranks;      /* calls of ranks that it met */
  uint64_t hit_others;     /* of everybody else: the workers */
};
