// A job's checkpoints: the folder ROOT/JOB with one folder per checkpoint.
//
//   step-0000001234.a3/   written by attempt 3
//   LATEST                the name of the newest; a hint, never trusted
//   .trash-...            being deleted
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/commit.h"
#include "checkpoint/file_system.h"
#include "checkpoint/verify.h"

namespace muster::checkpoint {

struct CheckpointId {
  uint64_t step = 0;
  uint64_t attempt = 0;

  auto operator<=>(const CheckpointId&) const = default;
};

std::string CheckpointFolder(CheckpointId id);  // "step-0000001234.a3"
std::optional<CheckpointId> ParseCheckpointFolder(std::string_view name);

enum class CheckpointState { kCommitted, kPartial, kDamagedCommit };
std::string CheckpointStateText(CheckpointState state);  // "committed", "partial", "damaged"

struct CheckpointEntry {
  CheckpointId id;
  std::string path;
  CheckpointState state = CheckpointState::kPartial;
  CommitRecord commit;  // of a committed one
  std::string problem;  // of a damaged one
  bool pinned = false;  // pin.h
};

// Newest first (by step, then attempt). Committed means that COMMIT is valid and names this folder;
// only Verify() proves the rest. A missing root is an empty list.
absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const std::string& root,
                                                             FileSystem& files = PosixFiles());

// Makes root/step-....a#/data durably, if missing; returns the checkpoint's folder. Any rank may
// call it, several at once.
absl::StatusOr<std::string> PrepareCheckpointFolder(const std::string& root, CheckpointId id,
                                                    FileSystem& files = PosixFiles());

// Deletes what is there of a checkpoint whose save was given up; nobody writes to it any more.
// Errors: kFailedPrecondition: it has a COMMIT, and nothing was touched.
absl::Status DiscardPartial(const std::string& root, CheckpointId id,
                            FileSystem& files = PosixFiles());

absl::Status WriteLatest(const std::string& root, CheckpointId id,
                         FileSystem& files = PosixFiles());

struct PruneOptions {
  uint32_t keep = 3;                 // committed ones kept, see Prune; 0 = all
  uint64_t keep_every = 0;           // and those whose step is a multiple of it; 0 = none
  uint32_t keep_best = 0;            // and those with the lowest held-out loss (best.h); 0 = none
  std::vector<CheckpointId> pinned;  // never deleted; nor is one with the file PINNED (pin.h)
  uint64_t current_attempt = 0;      // partial folders of attempts below this are deleted
  VerifyDepth proof = VerifyDepth::kEverything;  // what "verified" means below
  bool only_plan = false;                        // tells what would be deleted, touches nothing
};

struct PruneReport {
  std::vector<CheckpointId> deleted;  // committed ones
  std::vector<CheckpointId> swept;    // partial and damaged ones
  std::vector<CheckpointId> spared;   // older ones kept by a pin, keep_every or keep_best
  std::string kept_for_safety;        // why nothing committed was deleted, if so
};

// Deletes old checkpoints: renames to .trash-... first, then empties, so that a crash leaves either
// a whole checkpoint or rubbish that the next Prune removes. At least one of the kept ones must
// verify (newest tried first); if none does, no committed one is deleted.
//
// The surprising rule: the newest are kept, but one that a newer attempt turned its back on (it
// committed an earlier step, so it did not go on from this one) counts as older than all others.
// Else a checkpoint marked bad would outlive the ones the job lives on.
absl::StatusOr<PruneReport> Prune(const std::string& root, const PruneOptions& options,
                                  FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
