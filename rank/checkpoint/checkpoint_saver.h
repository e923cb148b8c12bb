// Saves checkpoints and sees them committed, while training goes on.
//
// Begin copies the rank's state in the background (the caller waits for that with WaitCopied before
// it changes the state), a shard is written from the copy, and once every rank's shard is durable
// the manifest is made (Finish). The commit then needs a permit from the coordinator when a worker
// started us: rank 0 asks, Poll looks for the answer between steps. Without a worker rank 0 commits
// at once. At most two saves are on their way. A save that fails (disk full, folder gone, one bad
// rank) is told in one line and loses nothing; the caller tries again later. Storage that stands
// still holds up no step: whatever waits for it does so beside training, and MakeRoom says when
// there is nothing to do but to save later.
//
// With RAM slots on every rank the copies go there, and BeginInRam saves more often than storage
// could take it. A slot is refilled only while the other one holds a step that every rank has
// sealed, so whatever dies at whatever moment, there is one step that all slots hold: the durable
// save that is being drained, else the newest that all sealed. What all have sealed is part of the
// step report. Where slots are copied to other nodes, one counts as sealed when its copy is there,
// so the step that all hold is also the one that all copies hold.
//
// Threads: one. MakeRoom, Begin, Finish, FinishAll and Settle are collective over the group, and so
//          is the decision for BeginInRam: all ranks make these calls, in the same order.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/store.h"
#include "rank/checkpoint/background_save.h"
#include "rank/checkpoint/committer.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/fill_report.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/rank_slots.h"
#include "rank/checkpoint/save_link.h"
#include "rank/checkpoint/stopwatch.h"
#include "rank/checkpoint/storage_health.h"

namespace muster::rank {

struct SaverOptions {
  std::string root;  // folder of the job's checkpoints
  std::string job_uid;
  uint64_t attempt = 1;
  uint32_t keep = 0;            // committed ones kept; 0 = all
  uint64_t keep_every = 0;      // and those whose step is a multiple of it; 0 = none
  uint32_t keep_best = 0;       // and those with the lowest held-out loss; 0 = none
  double patience_seconds = 5;  // a save on its way for longer is not waited for by the next one
  std::function<void(uint64_t step, FillMoment)> at = {};  // for tests
};

class CheckpointSaver {
 public:
  // group, slots, link (may be null), console and files outlive the saver.
  CheckpointSaver(const SaverOptions& options, Group& group, RankSlots& slots, SaveLink* link,
                  const Console& console, checkpoint::FileSystem& files)
      : options_(options),
        group_(group),
        slots_(slots),
        link_(link),
        console_(console),
        saves_{BackgroundSave(files), BackgroundSave(files)},
        ram_save_(files),
        committer_(options.root, PruneOf(options), files),
        health_(options.root, link, console) {}

  // The state came from the slots of this step: they keep it until there is a newer one.
  void WentOnFrom(uint64_t step) { common_ = step; }

  // May a save of this step begin now? False: those on their way are late, and the caller comes
  // again after the next step. The same on every rank.
  absl::StatusOr<bool> MakeRoom(uint64_t step);

  // A save of the state in `sections` begins. `next` tells people when it is tried again, should it
  // fail. Without room it waits for the oldest one. Errors: a broken collective only.
  absl::Status Begin(uint64_t step, const checkpoint::RunState& run, std::vector<Section> sections,
                     const std::string& next);

  // Every rank has its slots, and filling one now leaves a step that all of them hold. The same on
  // every rank.
  bool CanSaveInRam() const;
  void BeginInRam(uint64_t step, const checkpoint::RunState& run, std::vector<Section> sections);

  // For the step report, and what came of it.
  FillReport ReportFill();
  void TakeFills(const FillSummary& all);

  // Until the state given to Begin may change again.
  void WaitCopied();

  // The step of the oldest save on its way, when this rank is through with it; else 0. When all
  // ranks say so, it is time for Finish.
  uint64_t WrittenStep() const;

  // Sees the oldest save through: one manifest, and the commit or the request for it. What a failed
  // one has left on storage is deleted: its step is past.
  absl::Status Finish();
  // The same for all of them; the newest may be tried again.
  absl::Status FinishAll();
  // Of the newest save that did not reach storage; 0 = none. The same on every rank.
  uint64_t failed_step() const { return failed_step_; }

  // Looks for permits, sees to it that what is permitted is committed, and tells what is late. Rank
  // 0; nothing elsewhere.
  void Poll(int timeout_ms = 0);

  // Waits until no commit is pending, at most `seconds`. True, on every rank, when `step` is
  // committed.
  absl::StatusOr<bool> Settle(uint64_t step, double seconds);

 private:
  struct Waiting {
    checkpoint::Manifest manifest;
    double save_seconds = 0;
    bool permitted = false;
    bool failed = false;   // to commit, and to be tried again
    bool given = false;    // to the committer
    Stopwatch watch = {};  // since then, or since it failed
  };

  struct Begun {
    uint64_t step = 0;
    checkpoint::RunState run;
    std::string next;
    Stopwatch watch;
    BackgroundSave* save = nullptr;
    bool in_slot = false;
    bool sealed_by_all = false;
  };

  // Rank 0: one manifest out of everyone's digests, then the commit or the request for it.
  absl::Status Join(uint64_t step, const checkpoint::RunState& run,
                    const std::vector<std::vector<std::byte>>& all, const Stopwatch& watch);
  absl::Status AskOrCommit(Waiting waiting);
  static checkpoint::PruneOptions PruneOf(const SaverOptions& options);
  absl::Status FinishOldest(bool may_come_again);
  // True: at most one commit is under way.
  bool CatchUpWithCommits();
  // False: nothing came of any commit.
  bool TakeOutcomes();
  void TakeOutcome(const Committer::Outcome& outcome);
  void TellLate();
  void Tell(muster_save_trouble kind, uint64_t step, const std::string& text);

  // Collective: no rank is filling a slot when it returns.
  absl::Status SettleFills();
  // The fill that was sealed last counts only when its copy is there.
  bool AwaitsReplica();
  // The step whose slot must stay; 0 = none yet.
  uint64_t StepToKeep() const;
  // A slot for a save that begins now, where there is one.
  checkpoint::SlotFile* TakeSlot(uint64_t step);
  SaveOrder OrderFor(uint64_t step, const checkpoint::RunState& run,
                     std::vector<Section> sections) const;

  const SaverOptions options_;
  Group& group_;
  RankSlots& slots_;
  SaveLink* link_;
  const Console& console_;
  std::array<BackgroundSave, 2> saves_;
  BackgroundSave ram_save_;
  Committer committer_;  // of rank 0, as the health
  StorageHealth health_;
  std::deque<Begun> begun_;  // oldest first; the same on every rank
  bool put_off_ = false;     // a save waits for room, and that was said
  bool said_not_copied_ = false;
  bool said_no_slots_ = false;
  // The same on every rank.
  bool slots_on_ = false;
  bool filling_ = false;  // somewhere, as far as is known
  uint64_t common_ = 0;   // the newest step that every rank has sealed and kept
  uint64_t failed_step_ = 0;
  // Of this rank.
  BackgroundSave* fill_ = nullptr;  // under way, or its end not noted yet
  checkpoint::SlotFile* fill_file_ = nullptr;
  Stopwatch fill_watch_;
  uint64_t fill_step_ = 0;
  double fill_seconds_ = 0;
  std::deque<Waiting> waiting_;  // rank 0; oldest first
  uint64_t newest_committed_ = 0;
};

}  // namespace muster::rank
