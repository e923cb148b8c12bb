// Saves as the trainer makes them, on a simulated disk, and what must be true of the disk after a
// crash at any instant of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/resume.h"
#include "tests/unit/checkpoint/disk_files.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {

inline const std::string kJob = "/ck/job";  // its checkpoints' folder on a simulated disk

// The state of the run at that step; the same whenever asked.
const Model& ModelOf(CheckpointId id);

// What the writers know for sure.
struct History {
  std::vector<CheckpointId> permitted;
  std::vector<CheckpointId> acknowledged;  // Commit returned ok
  uint32_t keep = 0;
};

// One rank's shard; `writers` ranks hold the model between them.
absl::StatusOr<ShardDigest> WriteRank(FileSystem& files, CheckpointId id, size_t writer,
                                      size_t writers, const std::string& root = kJob);

// The steps of rank 0 when all shards are durable: manifest and COMMIT, then LATEST and Prune.
absl::Status CommitStep(FileSystem& files, CheckpointId id, std::span<const ShardDigest> digests,
                        History& history, const std::string& root = kJob);
absl::Status TidyAfter(FileSystem& files, CheckpointId id, const History& history,
                       const std::string& root = kJob);

// All of a save, the ranks one after the other.
absl::Status SaveStep(FileSystem& files, CheckpointId id, size_t writers, History& history,
                      const std::string& root = kJob);

// What is wrong with the folder as found after a crash: one line each.
//
// Right is: what is committed is whole, permitted, and loads bit for bit; what was acknowledged is
// there, unless the retention rule has passed it by; the newest one is chosen. Then a new attempt
// saves and prunes, and nothing is left over; a second Prune finds nothing to do.
std::vector<std::string> FaultsAfterCrash(FileSystem& files, const History& history,
                                          const std::string& root = kJob);

// Between two calls on a simulated disk: what a crash now would leave to the survivals.
struct Instant {
  SimulatedDisk disk;
  History history;
};

// Takes an instant before every call that changes the disk. `instants` outlives the files' use.
void RecordInstants(DiskFiles& files, const History& history, std::vector<Instant>& instants);

// FaultsAfterCrash when only the processes died, a new attempt went on, and the power failed then.
std::vector<std::string> FaultsAfterSecondCrash(const Instant& found, uint64_t seed);

}  // namespace muster::checkpoint
