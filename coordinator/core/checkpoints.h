// The checkpoints of one job, as far as the coordinator knows: permitted, then committed, then
// forgotten. Only permitted ones are ever offered for a resume.
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
  // True when it became the newest committed one.
  bool Commit(const v1::CheckpointRef& ref);
  void Forget(const v1::CheckpointRef& ref);

  // Newest first: by step, then by attempt.
  const std::vector<v1::CheckpointRef>& refs() const { return refs_; }
  // nullptr when none is committed.
  const v1::CheckpointRef* NewestCommitted() const;

 private:
  std::vector<v1::CheckpointRef> refs_;
};

}  // namespace muster::coordinator::core
