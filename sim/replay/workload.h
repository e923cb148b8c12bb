// The jobs of a replay: one over almost the whole cluster, and small ones beside it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"
#include "sim/agenda.h"
#include "sim/random.h"

namespace muster::sim::replay {

inline constexpr uint32_t kSlots = 8;  // GPUs of a node

struct BigJob {
  uint32_t nodes = 1875;
  uint32_t spares = 0;      // nodes of the cluster beyond those
  bool hold_spares = true;  // kept beside the job; else whoever comes may use them
  uint32_t shrink_to = 0;   // nodes; 0 = never smaller
  uint64_t save_every = 1;
  uint64_t steps = 1;
};
// Errors: kInvalidArgument, for a shrink_to whose nodes cannot share the global batch (`nodes`
// samples).
absl::Status ValidateBigJob(const BigJob& big);
v1::JobSpec BigJobSpec(const BigJob& big);  // CHECKs that it is valid

struct SmallJobs {
  Micros every = 2 * kHour;  // mean time between submissions; 0 = none
  uint32_t nodes_max = 8;
  Micros runs_mean = 6 * kHour;
};
// The `number`th small job. It is preemptible and may run on lent spares.
v1::JobSpec SmallJobSpec(const SmallJobs& small, uint64_t number, Micros step, Random& dice);

}  // namespace muster::sim::replay
