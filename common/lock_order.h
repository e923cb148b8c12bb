// Turns absl's check of the order in which locks are taken off, in release builds.
//
// Debian builds absl with the check on, for every lock of gRPC too: an eighth of all CPU time of a
// coordinator that launches on 1,875 workers. Tests keep the check.
//
// Threads: before the first lock is taken.
#pragma once

#include "absl/synchronization/mutex.h"

namespace muster {

inline void IgnoreLockOrder() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace muster
