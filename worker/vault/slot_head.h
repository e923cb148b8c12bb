// What is told of a sealed slot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/ram_slot.h"
#include "checkpoint/slot_file.h"

namespace muster::worker::vault {

// A sealed slot: which file, what is in it, and who went on from it.
struct SlotHead {
  checkpoint::SlotId id;
  char letter = 'a';
  uint64_t bytes = 0;  // of the file
  uint64_t adopted_by = 0;
  uint32_t resumes = 0;

  std::string file_name() const { return checkpoint::SlotFileName(id.rank, letter); }
  // The last attempt to whose history it belongs.
  uint64_t lineage() const { return std::max(id.attempt, adopted_by); }
};

// kNotFound: nothing is sealed in it; kDataLoss.
absl::StatusOr<SlotHead> HeadOf(const checkpoint::SlotFile& file);

}  // namespace muster::worker::vault
