// Another node's vault, as seen from this one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/slot_file.h"
#include "worker/vault/parity_group.h"
#include "worker/vault/parity_row.h"
#include "worker/vault/slot_head.h"

namespace muster::worker::vault {

// One slot's chunk for the row that one member of its group keeps.
struct ChunkOffer {
  SlotHead slot;
  uint64_t attempt = 0;  // whose ranks it is kept for
  ParityGroup group;
  uint32_t holder = 0;
  // The rank's other slot, which the group may have to be computed from: its row stays. 0 = none.
  uint64_t beside_attempt = 0;
  uint64_t beside_step = 0;

  // Of the slot's file. The rank is in the group, and not its holder's.
  ByteRange chunk() const {
    return ChunkOf(slot.bytes, group.size(), *MemberOf(group, slot.id.rank), holder);
  }
};

// Bytes of a slot's file, or of a row, on their way, at their offset.
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
  // Of its file the bytes of `range`, without its words.
  virtual absl::Status Get(const SlotHead& head, const ByteRange& range, const SlotSink& sink) = 0;

  // How much of the chunk is in its row already, from its first byte on.
  virtual absl::StatusOr<uint64_t> OfferChunk(const ChunkOffer& offer) = 0;
  // Returns when all of the chunk is in the row; `from` is what OfferChunk told.
  virtual absl::Status PutChunk(const ChunkOffer& offer, uint64_t from,
                                const checkpoint::SlotFile& file,
                                const std::function<bool()>& goes_on) = 0;
  virtual absl::StatusOr<std::vector<RowHead>> ListRows(const std::string& job_uid) = 0;
  virtual absl::Status GetRow(const RowHead& row, const ByteRange& range, const SlotSink& sink) = 0;
};

// Errors of the calls: kUnavailable and kDeadlineExceeded: it may work later.
using Dial = std::function<std::unique_ptr<PeerVault>(const std::string& address)>;

}  // namespace muster::worker::vault
