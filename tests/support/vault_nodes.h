// Nodes with a vault in memory that call each other without a network, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/digest.h"
#include "common/status.h"
#include "tests/support/slots.h"
#include "tests/support/temp_folder.h"
#include "worker/vault/intake.h"
#include "worker/vault/parity_send.h"
#include "worker/vault/peer_vault.h"

namespace muster::worker::vault {

inline constexpr char kJob[] = "gpt-1-abc";
inline constexpr uint32_t kWorld = 4;
inline constexpr size_t kFloats = 60'000;  // more than the room for metadata

using Bytes = std::vector<std::byte>;

inline checkpoint::SlotId IdOf(uint64_t attempt, uint64_t step, uint32_t rank) {
  return {kJob, step, attempt, rank, kWorld};
}

// A node: its vault in memory, and what it takes in.
struct TestNode {
  explicit TestNode(uint64_t bytes = 64 << 20) {
    auto opened = Vault::Open({.folder = memory.path() + "/vault", .bytes = bytes, .slots = 1});
    EXPECT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(opened->Add(kJob).ok());
    folder = opened->FolderOf(kJob);
    intake = std::make_unique<Intake>(*opened);
  }
  checkpoint::SlotFile Seal(uint64_t attempt, uint64_t step, uint32_t rank, char letter,
                            const checkpoint::SlotWants& wants = {},
                            size_t floats = kFloats) const {
    return SealSlot(folder, IdOf(attempt, step, rank), letter, floats, wants);
  }
  // (attempt, step) of a slot whose checksums are all right; (0, 0): there is none.
  std::pair<uint64_t, uint64_t> At(uint32_t rank, char letter) const {
    const auto file =
        checkpoint::SlotFile::Open(folder + "/" + checkpoint::SlotFileName(rank, letter));
    if (!file.ok()) return {0, 0};
    const auto content = file->slot().Read();
    if (!content.ok() || !file->slot().VerifyImage(*content).ok()) return {0, 0};
    return {content->id.attempt, content->id.step};
  }

  TempFolder memory{"/dev/shm"};
  std::string folder;
  std::unique_ptr<Intake> intake;
};

// Calls the node, but for what `spoil` does to the bytes on their way.
class DirectPeer : public PeerVault {
 public:
  using Spoil = std::function<void(uint64_t offset, Bytes& data)>;
  explicit DirectPeer(Intake& intake, Spoil spoil = {})
      : intake_(intake), spoil_(std::move(spoil)) {}

  absl::StatusOr<bool> Offer(const SlotHead& head, uint64_t attempt) override {
    return intake_.Offer(head, attempt);
  }
  absl::Status Put(const SlotHead& head, uint64_t attempt, const checkpoint::SlotFile& file,
                   const std::function<bool()>& goes_on) override {
    MUSTER_ASSIGN_OR_RETURN(const auto writing, intake_.Begin(head, attempt));
    MUSTER_RETURN_IF_ERROR(
        InParts(file.bytes(), {0, head.bytes}, [&](uint64_t at, std::span<const std::byte> data) {
          if (!goes_on()) return absl::CancelledError("told to stop");
          return writing->Write(at, data);
        }));
    return writing->Seal();
  }
  absl::StatusOr<std::vector<SlotHead>> List(const std::string& uid, uint32_t first_rank,
                                             uint32_t ranks) override {
    return intake_.List(uid, first_rank, ranks);
  }
  absl::Status Get(const SlotHead& head, const ByteRange& range, const SlotSink& sink) override {
    MUSTER_ASSIGN_OR_RETURN(const checkpoint::SlotFile file, intake_.Open(head));
    return InParts(file.bytes(), range, sink);
  }

  absl::StatusOr<uint64_t> OfferChunk(const ChunkOffer& offer) override {
    return intake_.rows().Offer(offer);
  }
  absl::Status PutChunk(const ChunkOffer& offer, uint64_t from, const checkpoint::SlotFile& file,
                        const std::function<bool()>& goes_on) override {
    const ByteRange chunk = offer.chunk();
    return ForEachPart(file.bytes(), {chunk.begin + from, chunk.end}, kPart,
                       [&](uint64_t at, std::span<const std::byte> data) {
                         if (!goes_on()) return absl::CancelledError("told to stop");
                         return Checked(at - chunk.begin, data,
                                        [&](uint64_t offset, std::span<const std::byte> came) {
                                          return intake_.rows().Take(offer, offset, came);
                                        });
                       });
  }
  absl::StatusOr<std::vector<RowHead>> ListRows(const std::string& uid) override {
    return intake_.rows().List(uid);
  }
  absl::Status GetRow(const RowHead& row, const ByteRange& range, const SlotSink& sink) override {
    MUSTER_ASSIGN_OR_RETURN(const RowFile file, intake_.rows().Open(row));
    for (uint64_t at = range.begin; at < range.end; at += kPart) {
      Bytes data(std::min<uint64_t>(kPart, range.end - at));
      MUSTER_RETURN_IF_ERROR(file.ReadAt(at, data));
      MUSTER_RETURN_IF_ERROR(Checked(at, data, sink));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr uint64_t kPart = 16'384;

  // As a slot's bytes go over the network: without its words.
  absl::Status InParts(std::span<const std::byte> bytes, const ByteRange& range,
                       const SlotSink& sink) const {
    constexpr uint64_t kBegin = checkpoint::RamSlot::kWordsBegin;
    constexpr uint64_t kEnd = checkpoint::RamSlot::kWordsEnd;
    const ByteRange parts[] = {{range.begin, std::min(range.end, kBegin)},
                               {std::max(range.begin, kEnd), range.end}};
    for (const ByteRange& side : parts) {
      for (uint64_t at = side.begin; at < side.end; at += kPart) {
        const auto part = bytes.subspan(at, std::min(kPart, side.end - at));
        Bytes data(part.begin(), part.end());
        if (spoil_) spoil_(at, data);
        MUSTER_RETURN_IF_ERROR(sink(at, data));
      }
    }
    return absl::OkStatus();
  }

  // As parts of parity go over the network, with their checksum.
  absl::Status Checked(uint64_t at, std::span<const std::byte> part, const SlotSink& sink) const {
    Bytes data(part.begin(), part.end());
    if (spoil_) spoil_(at, data);
    if (checkpoint::Crc32c(0, data) != checkpoint::Crc32c(0, part)) {
      return DataLoss("damaged on the way");
    }
    return sink(at, data);
  }

  Intake& intake_;
  const Spoil spoil_;
};

inline bool Always() { return true; }

// Nodes by address, which is their name.
class Network {
 public:
  TestNode& operator[](const std::string& address) { return nodes_[address]; }
  // What was there is gone with it.
  void PowerOff(const std::string& address) { nodes_.erase(address); }

  Dial dial() {
    return [this](const std::string& address) -> std::unique_ptr<PeerVault> {
      static const Vault kNone;
      static Intake nobody(kNone);
      const auto node = nodes_.find(address);
      return std::make_unique<DirectPeer>(node == nodes_.end() ? nobody : *node->second.intake,
                                          spoil);
    };
  }

  DirectPeer::Spoil spoil;

 private:
  std::map<std::string, TestNode> nodes_;
};

inline uint32_t WaitForReplicaMark(const checkpoint::SlotFile& file) {
  constexpr uint32_t kEnd = checkpoint::kSlotReplicated | checkpoint::kSlotReplicaGivenUp;
  uint32_t marks = 0;
  for (int i = 0; i < 600 && ((marks = file.slot().marks()) & kEnd) == 0; ++i) {
    marks = file.slot().WaitForMark(kEnd, 100);
  }
  return marks & kEnd;
}

}  // namespace muster::worker::vault
