// What the loop wants from the worker that started it. Null stands for "started by nobody".
//
// Threads: the rank's one.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/checkpoint/save_link.h"
#include "rank/muster_rank.h"
#include "trainer/collective/collective_ring.h"

namespace muster::trainer::loop {

class RankLink : public virtual rank::SaveLink {
 public:
  virtual absl::Status Hello(int rank, int world_size) = 0;
  // `straggler_seconds`: stragglers.h, of the steps so far. `from_memory`: it resumed from RAM
  // slots.
  virtual void Publish(const muster_rank_status& status, double straggler_seconds,
                       bool from_memory) = 0;

  // Where collectives are noted, from any thread; null when nobody reads it.
  virtual collective::CollectiveRing* ring() { return nullptr; }
};

// The worker's end, from the environment. Null when no worker started this process.
absl::StatusOr<std::unique_ptr<RankLink>> OpenWorkerLink();

}  // namespace muster::trainer::loop
