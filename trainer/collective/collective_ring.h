// Where a rank notes its collectives, so that whoever watches it can tell a hang from waiting
// (rank/muster_rank.h). Numbers are the ring's own; they are given back to Wait and Done.
//
// Threads: any.
#pragma once

#include <cstdint>

#include "rank/muster_rank.h"

namespace muster::trainer::collective {

class CollectiveRing {
 public:
  virtual ~CollectiveRing() = default;

  // The rank is inside it until Done.
  virtual uint64_t Begin(muster_collective operation, muster_group group, uint64_t bytes) = 0;
  // It runs beside the rank's work, until Wait.
  virtual uint64_t Start(muster_collective operation, muster_group group, uint64_t bytes) = 0;
  virtual void Wait(uint64_t number) = 0;
  virtual void Done(uint64_t number) = 0;
};

}  // namespace muster::trainer::collective
