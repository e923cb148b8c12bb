// Does memory hold what is written to it?
//
// A block is filled with words that depend on their place, read back, and the same again with
// every bit turned, until the time is up. Both passes are done at least once.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster::worker::preflight {

struct MemoryOptions {
  uint64_t bytes = 256u << 20;
  absl::Duration span = absl::Seconds(2);
};

// Bytes written and read back per second. Errors: kDataLoss with the place and the bits that
// differ, kResourceExhausted when there is no such block.
absl::StatusOr<double> TestMemory(const MemoryOptions& options);

// A share of what is free, at most `most`; 0 when the system does not say.
uint64_t BytesToTest(double share, uint64_t most);

}  // namespace muster::worker::preflight
