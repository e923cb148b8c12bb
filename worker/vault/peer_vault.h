// Another node's vault, as seen from this one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
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

// Bytes of a slot's file on their way, at their offset.
using SlotSink = std::function<absl::Status(uint64_t offset, std::span<const std::byte> data)>;

class PeerVault {
 public:
  virtual ~PeerVault() = default;

  // May it be sent, for an attempt with this number? True: it is there already.
  virtual absl::StatusOr<bool> Offer(const SlotHead& head, uint64_t attempt) = 0;
  // Returns when the copy is whole and verified there. `goes_on` is asked between parts.
  virtual absl::Status Put(const SlotHead& head, uint64_t attempt, const checkpoint::SlotFile& file,
                           const std::function<bool()>& goes_on) = 0;
  // What is sealed there of these ranks; their shards are not verified.
  virtual absl::StatusOr<std::vector<SlotHead>> List(const std::string& job_uid,
                                                     uint32_t first_rank, uint32_t ranks) = 0;
  virtual absl::Status Get(const SlotHead& head, const SlotSink& sink) = 0;
};

// Errors of the calls: kUnavailable and kDeadlineExceeded: it may work later.
using Dial = std::function<std::unique_ptr<PeerVault>(const std::string& address)>;

}  // namespace muster::worker::vault
