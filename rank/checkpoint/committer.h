// Commits checkpoints and clears away what is no longer kept, beside training: storage that stands
// still in the middle of a commit holds up no step.
//
// One thing at a time, in the order given. A commit that fails may be given again: it goes on from
// wherever it failed.
//
// Threads: used by the rank's one; a thread of its own does the work. The destructor waits for all
//          it was given.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/store.h"

namespace muster::rank {

class Committer {
 public:
  struct Outcome {
    uint64_t step = 0;
    std::string manifest_sha256;
    uint64_t bytes = 0;
    absl::Status status;                           // of the commit
    std::vector<checkpoint::CheckpointId> pruned;  // committed ones
    std::vector<std::string> problems;             // what else went wrong, a line each
  };

  // `prune` says which old ones stay. files outlives the committer.
  Committer(std::string root, const checkpoint::PruneOptions& prune, checkpoint::FileSystem& files)
      : root_(std::move(root)), prune_(prune), files_(files) {}
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Here and now. The shards are durable.
  Outcome CommitNow(const checkpoint::Manifest& manifest);

  // Beside the caller. Take gives what came of it.
  void Commit(checkpoint::Manifest manifest);
  // Of a save that failed, and is not tried again: what is there of it is deleted.
  void Discard(checkpoint::CheckpointId id);

  // Of commits, oldest first.
  std::optional<Outcome> Take();
  // Until Take has something, at most `seconds`.
  void Wait(double seconds);

 private:
  void Give(std::function<void()> task);
  void Run();

  const std::string root_;
  const checkpoint::PruneOptions prune_;
  checkpoint::FileSystem& files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::deque<Outcome> outcomes_;
  bool ending_ = false;
  std::thread thread_;  // begun with the first task
};

}  // namespace muster::rank
