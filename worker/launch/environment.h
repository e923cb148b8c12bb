// The environment of a rank: ours, torchrun's, Open MPI's and Slurm's variables, so that programs
// find themselves whatever launcher they were written for. No secrets: only named variables of
// the shim's own environment are passed on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/launch/launch.h"

namespace muster::worker::launch {

using Environment = std::vector<std::string>;  // "NAME=value", sorted by name, each name once

// What a rank needs from this machine, beside the order.
struct LocalFacts {
  std::string folder;         // the attempt's folder
  std::string scope;          // MUSTER_SCOPE: marks every process of the attempt on this node
  std::string temp_folder;    // TMPDIR
  std::string memory_folder;  // shared memory segments
  uint32_t cores = 1;         // of the machine
  std::string interface;      // the network interface that holds the order's host_address
  std::string job_file = {};  // the document; of jobs with checkpoints, as what may be resumed
  std::string resume_file = {};
};

// The variables of `own` (the shim's) that ranks may inherit: paths, locale, thread and device
// libraries' settings.
Environment Inherited(const Environment& own);

// The families' variables for one rank of this node. Pure.
Environment RankVariables(const Launch& launch, uint32_t rank, const LocalFacts& facts);

// Later ones win.
Environment Merge(const std::vector<Environment>& environments);

// Ranks of this attempt find an MPI world.
bool NeedsMpi(const v1::JobSpec& spec);

}  // namespace muster::worker::launch
