// The node's test of itself, in a child process: muster-preflight.
//
// One at a time; a test with another number takes the place of the one that runs. The child dies
// with the worker, and is killed when its time is up.
//
// Threads: the worker's loop. Time: callers pass it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "worker/core/input.h"

namespace muster::worker::daemon {

class SelfTest {
 public:
  // `folder`: where its disk test may write.
  SelfTest(std::string program, std::string folder);
  ~SelfTest();
  SelfTest(const SelfTest&) = delete;
  SelfTest& operator=(const SelfTest&) = delete;

  void Start(uint64_t test);
  // -1 while none runs. Readable: Turn has something to do.
  int fd() const { return output_; }
  int64_t wake_at_ms() const;
  // The result, once.
  std::optional<core::TestDone> Turn(int64_t now_ms);

 private:
  void Kill();
  core::TestDone Finish(int64_t now_ms);

  const std::string program_;
  const std::string folder_;
  uint64_t test_ = 0;
  int pid_ = -1;
  int output_ = -1;  // the child's stdout and stderr; closed when it ends
  std::string said_;
  std::optional<std::string> not_started_;
  int64_t deadline_ms_ = 0;
};

}  // namespace muster::worker::daemon
