// The checkpoints of one job, as far as the coordinator knows: permitted, then committed, then
// forgotten. Only permitted ones are ever offered for a resume, and no longer once marked bad.
//
// The surprising rule: one permit per (step, attempt). Asking again for the same manifest gets the
// same yes; for another manifest, a no.
#pragma once

#include <vector>

#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

class CheckpointLedger {
 public:
  // nullptr when there is none.
  const v1::CheckpointRef* Find(uint64_t step, uint64_t attempt) const;

  void Permit(const v1::CheckpointRef& ref);
  // True when its step is beyond that of all committed before, bad and forgotten ones too: saving a
  // step once more is no progress.
  bool Commit(const v1::CheckpointRef& ref);
  void MarkBad(uint64_t step, uint64_t attempt);
  void Forget(const v1::CheckpointRef& ref);

  // Newest first: by step, then by attempt.
  const std::vector<v1::CheckpointRef>& refs() const { return refs_; }
  // Of those not marked bad; nullptr when none is committed.
  const v1::CheckpointRef* NewestCommitted() const;
  const v1::CheckpointRef* CommittedBefore(const v1::CheckpointRef& ref) const;

 private:
  std::vector<v1::CheckpointRef> refs_;
  uint64_t best_step_ = 0;  // the furthest ever committed
  bool any_ = false;        // was committed
};

}  // namespace muster::coordinator::core
