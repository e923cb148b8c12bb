// Decides what becomes of one node's ranks of an attempt.
//
// The rule: the first rank that ends badly takes the others of this node with it, since they would
// wait for it for ever. Exit codes 0 and 75 (ended as asked) are not bad.
//
// Time:    callers pass `now_ms`; nothing here reads a clock.
// Threads: none.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "muster/v1/worker_stream.pb.h"

namespace muster::worker::shim {

inline constexpr int kStoppedAsAskedExitCode = 75;
// A program without the rank link counts as running when it lives this long.
inline constexpr int64_t kRunningAfterMs = 200;
inline constexpr int64_t kSilentFromMs = 1'000;
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Actions {
  bool raise_stop = false;          // in the order pages of all ranks
  std::vector<uint32_t> terminate;  // SIGTERM
  std::vector<uint32_t> kill;       // SIGKILL, with all their children
  bool sweep = false;               // every rank ended: kill whatever they left
  int64_t next_ms = kNever;         // Decide again then
};

class LocalAttempt {
 public:
  // speaks_link: the ranks are native, so they run when they say so.
  LocalAttempt(uint64_t job_id, uint64_t attempt, const std::vector<uint32_t>& ranks,
               bool speaks_link);

  void Spawned(uint32_t rank, int64_t pid, int64_t now_ms);
  void NotSpawned(uint32_t rank, const std::string& error, int64_t unix_us);
  // Not even tried, because another one could not be spawned.
  void Skipped(uint32_t rank, int64_t unix_us);
  void SaidHello(uint32_t rank);
  // Of one batch of exits, in order of their collection. last_lines: of the rank's output.
  void Exited(uint32_t rank, int exit_code, int signal, int64_t unix_us,
              std::vector<std::string> last_lines);
  void StopOrdered(int64_t grace_ms, int64_t now_ms);
  // Nothing of the attempt runs here any more.
  void NoProcessLeft();

  // Each action is handed out once, except sweep.
  Actions Decide(int64_t now_ms);

  bool AllExited() const;
  bool Failed() const { return failed_; }
  bool Stopped() const { return stopped_; }
  // Grows when something a worker wants to know at once has changed (not progress).
  uint64_t revision() const { return revision_; }

  // Without progress.
  v1::AttemptReport Report() const;
  // Adds for how long ranks live that have not said hello, once it is a second.
  void AddSilence(int64_t now_ms, v1::AttemptReport* report) const;

 private:
  struct Rank {
    uint32_t rank = 0;
    v1::RankState state = v1::RANK_STATE_UNSPECIFIED;
    int64_t pid = 0;
    int64_t spawned_ms = 0;
    bool said_hello = false;
    bool terminated = false;
    bool killed = false;
    int exit_code = 0;
    int signal = 0;
    bool stopped_by_us = false;
    int64_t exit_unix_us = 0;
    std::string error;
    std::vector<std::string> last_lines;
  };
  Rank& Find(uint32_t rank);

  uint64_t job_id_;
  uint64_t attempt_;
  bool speaks_link_;
  std::vector<Rank> ranks_;
  bool failed_ = false;
  bool stop_ordered_ = false;
  bool stop_raised_ = false;
  int64_t kill_at_ms_ = kNever;
  bool stopped_ = false;
  uint64_t revision_ = 1;
};

}  // namespace muster::worker::shim
