// Fills the boxes of any layout from a checkpoint of any other.
//
// Every 16 MiB chunk it touches is read once and its CRC32C checked before a byte of it is used.
//
// Threads: none inside. Each rank may load its own boxes at the same time.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/load_plan.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

struct LoadStats {
  uint64_t bytes_read = 0;    // from files, headers of chunks included
  uint64_t bytes_copied = 0;  // into requests
  uint64_t chunks = 0;
};

// Errors: as PlanLoad; kDataLoss: a damaged or missing file (names file and byte range), or a
// manifest that is not the committed one. After an error the requests' bytes are garbage.
absl::StatusOr<LoadStats> Load(const std::string& folder, const Manifest& manifest,
                               std::span<const Request> requests, FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
