// Proves a checkpoint whole: every byte of every file.
//
// Checked: COMMIT against itself and the manifest; the manifest's own rules (tiling); each file's
// size, each chunk's CRC32C, its safetensors header against the manifest; nothing else in the
// folder. Goes on after a problem, so the report is complete.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/commit.h"
#include "checkpoint/file_system.h"

namespace muster::checkpoint {

struct VerifyReport {
  CommitRecord commit;
  uint64_t files = 0;
  uint64_t tensors = 0;
  uint64_t bytes = 0;
  std::vector<std::string> problems;  // one line each, naming file and byte range

  bool ok() const { return problems.empty(); }
};

// (bytes done, bytes in all), after each chunk.
using VerifyProgress = std::function<void(uint64_t, uint64_t)>;

enum class VerifyDepth {
  kEverything,
  kSizes,     // all but the contents of the shards: for folders too large to read each time
  kManifest,  // COMMIT and the manifest alone: shards are checked by whoever reads them
};

VerifyReport Verify(const std::string& folder, const VerifyProgress& progress = nullptr,
                    VerifyDepth depth = VerifyDepth::kEverything, FileSystem& files = PosixFiles());

// The report as a status: ok, or kDataLoss with the first problem and their number.
absl::Status VerifyStatus(const std::string& folder, const VerifyReport& report);

}  // namespace muster::checkpoint
