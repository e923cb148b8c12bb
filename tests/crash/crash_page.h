/* What a test and the processes it kills share: a file of this size, mapped by both. */
#pragma once

#include <stdint.h>

enum CrashWhen {
  CRASH_BEFORE = 0, /* the call is not made */
  CRASH_AFTER = 1,  /* the call is made, nothing after it */
  CRASH_HALF = 2    /* of a write: half of its bytes; else as CRASH_BEFORE */
};

struct CrashPage {
  volatile uint64_t calls; /* counted so far, by all processes */
  volatile uint64_t at;    /* the call to die at; UINT64_MAX: none */
  volatile uint64_t when;  /* CrashWhen */
};
