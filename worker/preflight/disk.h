// Does the disk give back what was written to it?
//
// A file of words that depend on their place is written, synced, dropped from the page cache, read
// back and compared, then removed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster::worker::preflight {

struct DiskOptions {
  std::string folder;
  uint64_t bytes = 64u << 20;
  absl::Duration limit = absl::Seconds(20);  // when it is up, what was written so far is read back
};

struct DiskSpeed {
  uint64_t bytes = 0;
  double write_bytes_per_second = 0;  // sync included
  double read_bytes_per_second = 0;
};

// Errors: kDataLoss with the place; what the system says, with the file.
absl::StatusOr<DiskSpeed> TestDisk(const DiskOptions& options);

}  // namespace muster::worker::preflight
