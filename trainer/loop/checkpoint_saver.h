// Saves checkpoints and sees them committed, while training goes on.
//
// Begin copies the rank's state in the background (the caller waits for that with WaitCopied before
// it changes the state), a shard is written from the copy, and once every rank's shard is durable
// the manifest is made (Finish). The commit then needs a permit from the coordinator when a worker
// started us: rank 0 asks, Poll looks for the answer between steps. Without a worker rank 0 commits
// at once. At most two saves are on their way; a third waits for the first. A save that fails (disk
// full, folder gone, one bad rank) is told in one line and loses nothing; the caller tries again
// later.
//
// Threads: one. Begin, Finish, FinishAll and Settle are collective over the world; the others may
// be
//          called by every rank.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "trainer/loop/background_save.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/console.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/loop/rank_link.h"
#include "trainer/loop/stopwatch.h"

namespace muster::trainer::loop {

struct SaverOptions {
  std::string root;  // folder of the job's checkpoints
  std::string job_uid;
  uint64_t attempt = 1;
  uint32_t keep = 0;  // committed ones kept; 0 = all
};

class CheckpointSaver {
 public:
  // groups, link (may be null), console and files outlive the saver.
  CheckpointSaver(const SaverOptions& options, RankGroups& groups, RankLink* link,
                  const Console& console, checkpoint::FileSystem& files)
      : options_(options),
        groups_(groups),
        link_(link),
        console_(console),
        files_(files),
        saves_{BackgroundSave(files), BackgroundSave(files)} {}

  // A save of the state in `sections` begins. `next` tells people when it is tried again, should it
  // fail. Errors: a broken collective only.
  absl::Status Begin(uint64_t step, const checkpoint::RunState& run, std::vector<Section> sections,
                     const std::string& next);

  // Until the state given to Begin may change again.
  void WaitCopied();

  // The step of the oldest save on its way, when this rank is through with it; else 0. When all
  // ranks say so, it is time for Finish.
  uint64_t WrittenStep() const;

  // Sees the oldest save through: one manifest, and the commit or the request for it.
  absl::Status Finish();
  absl::Status FinishAll();

  // Looks for permits and commits what is permitted. Rank 0; nothing elsewhere.
  void Poll(int timeout_ms = 0);

  // Waits until no commit is pending, at most `seconds`. True, on every rank, when `step` is
  // committed.
  absl::StatusOr<bool> Settle(uint64_t step, double seconds);

 private:
  struct Waiting {
    checkpoint::Manifest manifest;
    std::string folder;
  };

  struct Begun {
    uint64_t step = 0;
    checkpoint::RunState run;
    std::string next;
    Stopwatch watch;
    BackgroundSave* save = nullptr;
  };

  // Rank 0: one manifest out of everyone's digests, then the commit or the request for it.
  absl::Status Join(uint64_t step, const checkpoint::RunState& run,
                    const std::vector<std::vector<std::byte>>& all, const Stopwatch& watch);
  absl::Status AskOrCommit(Waiting waiting);
  absl::Status Commit(const Waiting& waiting);
  void PruneOld();

  const SaverOptions options_;
  RankGroups& groups_;
  RankLink* link_;
  const Console& console_;
  checkpoint::FileSystem& files_;
  std::array<BackgroundSave, 2> saves_;
  std::deque<Begun> begun_;  // oldest first; the same on every rank
  bool said_not_copied_ = false;
  std::deque<Waiting> waiting_;  // rank 0; oldest first
  uint64_t newest_committed_ = 0;
};

}  // namespace muster::trainer::loop
