// Fills every rank's boxes with one step's state, from wherever its shards are.
//
// A shard in the memory of a node is given out by one rank there. What no memory has is read from
// storage: each 16 MiB chunk by one rank of every node that needs bytes of it, who checks it and
// forwards them, so that storage is asked for a byte once per node, not once per rank. Each rank
// asks for exactly the bytes its boxes lack, in whatever layout they were saved.
//
// Bounded: a rank holds at most about 2 x `kRoundBytes` of others' bytes at a time, and three
// chunks: the next ones are read while one is given out. What travels carries a CRC32C of its own.
//
// Threads: the rank's one, and two that read ahead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/load_plan.h"
#include "checkpoint/manifest.h"
#include "rank/checkpoint/group.h"

namespace muster::rank {

inline constexpr uint64_t kRoundBytes = 256ull << 20;

// A shard that this rank has in memory, whole and verified.
struct ShardInMemory {
  size_t file = 0;  // in the manifest's files
  std::span<const std::byte> image;
};

struct LoadSources {
  std::vector<ShardInMemory> shards;  // each file is given out by one rank at most
  std::string folder;                 // of the checkpoint on storage; "" = storage has none of it
  uint64_t node = 0;                  // the same on all ranks of a node, and nowhere else
  uint64_t round_bytes = kRoundBytes;
};

// Of this rank.
struct LoadedBytes {
  uint64_t own_memory = 0;    // copied from shards of its own
  uint64_t other_memory = 0;  // from shards other ranks gave out
  uint64_t storage = 0;       // that came from storage, read by whichever rank
  uint64_t read = 0;          // from storage, by this rank, for whomever

  uint64_t all() const { return own_memory + other_memory + storage; }
};

// Collective; `manifest` and `folder` are the same on every rank. Errors are everybody's: as
// PlanLoad; kDataLoss: a damaged or missing file, or a file that nobody has. After an error the
// requests' bytes are garbage.
absl::StatusOr<LoadedBytes> LoadState(const checkpoint::Manifest& manifest,
                                      std::span<const checkpoint::Request> requests,
                                      const LoadSources& sources, Group& group,
                                      checkpoint::FileSystem& files);

}  // namespace muster::rank
