// Writes a sealed slot's shard to storage: durable, and verified on the way.
//
// The bytes are read from the slot's file piece by piece (no mapping of ours grows by them),
// checksummed, and written with O_DIRECT where the file system takes it. A checksum that differs
// from the slot's means that the memory was damaged: nothing of it gets its name. Order as
// checkpoint::WriteShardImage: temporary name, fdatasync, rename, sync of the folder.
//
// Threads: some of its own, joined before it returns.
// Errors:  kDataLoss: the slot is damaged. kCancelled: told to stop, or nobody waits for it any
//          more; the temporary file is gone. Else what storage said, for people.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/slot_file.h"

namespace muster::worker::vault {

struct DrainOptions {
  uint64_t bytes_per_second = 0;  // 0 = as fast as it goes
  int lanes = 3;                  // pieces on their way: two at the disk, one being checked
};

struct Drained {
  uint64_t bytes = 0;
  double seconds = 0;
  bool direct = false;  // O_DIRECT
};

// The slot is held by the caller, and sealed. `goes_on` is asked between pieces, from any thread.
absl::StatusOr<Drained> DrainSlot(const checkpoint::SlotFile& slot, const DrainOptions& options,
                                  const std::function<bool()>& goes_on,
                                  checkpoint::FileSystem& files = checkpoint::PosixFiles());

}  // namespace muster::worker::vault
