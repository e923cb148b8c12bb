// What the failures of a job in a row, without progress in between, say about nodes and
// checkpoints. Part of the job's durable state: filled where its records are applied.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"
#include "coordinator/core/checkpoints.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

// One attempt that failed.
struct FailedAttempt {
  v1::AttemptOutcome outcome = v1::ATTEMPT_OUTCOME_UNSPECIFIED;
  NodeId node;                              // of the rank that failed first; empty = not known
  v1::Phase phase = v1::PHASE_UNSPECIFIED;  // it was in
  uint64_t first_step = 0;                  // resumed from, as far as it said; 0 = it did not
  uint64_t last_step = 0;
  std::string text;  // what happened
  int64_t start_unix_ms = 0;
  int64_t unix_ms = 0;  // of the failure
};

class FailureRow {
 public:
  // The attempt failed without progress. `checkpoints` as they were then.
  void Add(const FailedAttempt& failed, const CheckpointLedger& checkpoints);
  // There was progress, or another checkpoint is used from here on.
  void Clear() { *this = FailureRow(); }
  void ForgetResumes() { resumes_ = 0; }

  // Where a rank failed first in two attempts in a row; by name.
  const std::vector<NodeId>& accused() const { return accused_; }
  // Every node where a rank failed first; by name.
  const std::vector<NodeId>& nodes() const { return nodes_; }
  // Attempts that ended because a node was lost, whichever; where, by name; what the first was.
  uint32_t losses() const { return losses_; }
  const std::vector<NodeId>& lost() const { return lost_; }
  const std::string& first_loss() const { return first_loss_; }
  // From the start of the first of those attempts to the newest loss.
  int64_t losses_took_ms() const { return losses_until_ms_ - losses_from_ms_; }
  // Attempts in a row that resumed from this checkpoint and finished no step beyond it.
  uint32_t FailedResumes(const v1::CheckpointRef& ref) const {
    return ref.step() == step_ && ref.attempt() == attempt_ ? resumes_ : 0;
  }

 private:
  std::vector<NodeId> accused_;
  std::vector<NodeId> nodes_;
  NodeId last_;
  uint64_t step_ = 0, attempt_ = 0;  // of the checkpoint
  uint32_t resumes_ = 0;
  uint32_t losses_ = 0;
  std::vector<NodeId> lost_;
  std::string first_loss_;
  int64_t losses_from_ms_ = 0, losses_until_ms_ = 0;
};

}  // namespace muster::coordinator::core
