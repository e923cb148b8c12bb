// A RAM slot: one rank's part of one step, in memory that outlives the rank.
//
//   empty ──BeginFill──▶ filling ──Seal──▶ sealed ──BeginFill──▶ filling ...
//
// The slot is a file in memory (slot_file.h) mapped by its rank, by the worker and by the rank that
// comes after. Layout: a header of 4 KiB, then metadata (the shard's digest, the run's state), then
// the shard exactly as its file on disk has it. A writer killed at any moment leaves a slot that
// reads as what it was before BeginFill, or as nothing, or as the new step: the state is the last
// word written. Bytes: docs/formats/ram_slot.md.
//
// Whoever reads while the writer may live holds the slot (Hold): BeginFill refuses a held one. A
// slot that shall be drained counts as held until it is persisted or given up, and one that shall
// be copied to another node until that has it or is given up.
//
// On the other node the copy is a slot like any other (BeginCopy, CopyIn or XorIn, SealCopy).
//
// Threads: one writer. Marks, holds and the state may be read and set from any process at any time.
// Owns:    nothing; the mapping outlives the slot.
// Errors:  kDataLoss from readers, for whatever is not whole; the message says what.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"

namespace muster::checkpoint {

inline constexpr uint64_t kSlotPageBytes = 4096;  // header; metadata and shard begin on one
inline constexpr size_t kSlotUidBytesMax = 127;
inline constexpr size_t kSlotErrorBytesMax = 479;

enum class SlotState : uint32_t { kEmpty = 0, kFilling = 1, kSealed = 2 };

// What happened to a sealed slot since. Cleared by BeginFill.
enum SlotMark : uint32_t {
  kSlotReplicated = 1,       // another node holds a verified copy
  kSlotPersisted = 2,        // its shard is durable on storage
  kSlotDrainWanted = 4,      // set by Seal: the worker is to write it to storage
  kSlotDrainGivenUp = 8,     // that failed; DrainError says why
  kSlotReplicaWanted = 16,   // set by Seal and GoOn: the worker is to copy it to another node
  kSlotReplicaGivenUp = 32,  // that failed, or nobody waits for it any more
};

// What the worker is to do with a sealed slot.
struct SlotWants {
  bool drain = false;
  bool replica = false;
};

// Who reads a slot just now; one bit each, set and cleared by its owner. The worker, of which there
// is one, clears the bits of its earlier life when it starts.
enum SlotHold : uint32_t {
  kHeldByDrain = 1,
  kHeldByReplication = 2,
  kHeldByRank = 4,  // its own rank writes it to storage; cleared by the rank that comes after
};

// Whose state of which step it is.
struct SlotId {
  std::string job_uid;
  uint64_t step = 0;
  uint64_t attempt = 0;
  uint32_t rank = 0;
  uint32_t world_size = 0;

  bool operator==(const SlotId&) const = default;
};

struct SlotContent {
  SlotId id;
  ShardDigest digest;
  RunState run;
  std::string root;          // folder of the job's checkpoints, for the drain
  uint64_t image_begin = 0;  // of the shard in the slot; its size is digest.file.size
};

// Bytes a slot needs for a shard; the same layout always gives the same places.
uint64_t SlotBytes(const ShardLayout& layout);

// to := to xor from, of one size.
void XorBytes(std::span<std::byte> to, std::span<const std::byte> from);

class RamSlot {
 public:
  RamSlot() = default;
  // `bytes` begins on a page. Writable, but for readers that only Read and Verify.
  explicit RamSlot(std::span<std::byte> bytes) : bytes_(bytes) {}

  // -- the writer

  // What was there is gone from here on. Errors: kResourceExhausted: too small; kUnavailable: held,
  // or waiting to be drained; nothing has changed then.
  absl::Status BeginFill(const SlotId& id, const ShardLayout& layout);
  // The shard's bytes, between BeginFill and Seal.
  std::span<std::byte> image();
  // Errors: kInvalidArgument: the digest is not the layout's, or its text has no room; the slot
  // stays unsealed.
  absl::Status Seal(const ShardDigest& digest, const RunState& run, const std::string& root,
                    const SlotWants& wants);

  // -- a copy of another node's slot

  // Which of a file's bytes make the copy: all but these, which change while it is sealed.
  static constexpr uint64_t kWordsBegin = 512;
  static constexpr uint64_t kWordsEnd = kSlotPageBytes;

  // As BeginFill.
  absl::Status BeginCopy();
  // Bytes of the other's file. Those of the words are passed over. Errors: kInvalidArgument: beyond
  // the end.
  absl::Status CopyIn(uint64_t offset, std::span<const std::byte> data);
  // The same, as exclusive or with what was copied in before.
  absl::Status XorIn(uint64_t offset, std::span<const std::byte> data);
  // Seals it when all of it passes its checksums and it is `wanted`. Errors: kDataLoss; it stays
  // unsealed.
  absl::Status SealCopy(const SlotId& wanted, uint64_t adopted_by, uint32_t resumes);

  // -- readers

  SlotState state() const;
  uint32_t marks() const;
  uint64_t step() const;  // as the header claims, unverified

  // Header and metadata, verified. Errors: kNotFound: not sealed; kDataLoss.
  absl::StatusOr<SlotContent> Read() const;
  // Every chunk of the shard against `content`, which Read() returned. Errors: kDataLoss.
  absl::Status VerifyImage(const SlotContent& content) const;
  std::span<const std::byte> image(const SlotContent& content) const;

  // True: it is sealed, and not refilled until Release. False: it is being filled, or empty.
  bool Hold(SlotHold by);
  void Release(SlotHold by);
  // A hold is set, or it awaits its drain.
  bool held() const;
  bool held_by(SlotHold by) const;
  // Sealed, to be drained, and neither persisted nor given up.
  bool awaits_drain() const;
  // The same for the copy on another node.
  bool awaits_replica() const;

  // Marks are set after what they say is true. kSlotPersisted and kSlotDrainGivenUp end the wait of
  // BeginFill. Waiters are woken.
  void Mark(SlotMark mark);
  void GiveUpDrain(const absl::Status& why);
  absl::Status DrainError() const;  // what GiveUpDrain was told; else ok
  // Until one of `marks` is set, at most timeout_ms. Returns the marks.
  uint32_t WaitForMark(uint32_t marks, int timeout_ms) const;

  // An attempt goes on from this slot: from now on it belongs to its history. `replica`: its copy
  // on another node is to know that too, wherever it is to be from now on.
  void GoOn(uint64_t attempt, bool replica = false);
  // What another node knows about it, whose copy this is.
  void Adopt(uint64_t adopted_by, uint32_t resumes);
  // That attempt has finished a step.
  void ForgetResumes(bool replica = false);
  uint32_t resumes() const;     // attempts that went on from it since without finishing a step
  uint64_t adopted_by() const;  // the last attempt that went on from it; 0 = none

 private:
  struct Header;
  absl::Status TakeForWriting();
  void WantReplica();
  // The parts of `data` that are to be written, with their places.
  template <typename Write>
  absl::Status Into(uint64_t offset, std::span<const std::byte> data, const Write& write);
  absl::StatusOr<SlotContent> Parse() const;
  Header* header() const;
  std::atomic<uint32_t>& Word(size_t offset) const;

  std::span<std::byte> bytes_;
  uint64_t image_begin_ = 0;  // of the fill under way
  uint64_t image_bytes_ = 0;
  SlotId id_;
};

}  // namespace muster::checkpoint
