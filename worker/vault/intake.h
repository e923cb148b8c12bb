// Takes in slots that other nodes send: copies of what their ranks saved, kept for the day that
// node is lost, and what a rank of this node saved elsewhere.
//
// A copy lies beside this node's own slots, under the same name it had there. It is written like
// any slot, so one that is cut short reads as nothing; the copy before it, in the other file,
// stays.
//
// Taken: of a job with an attempt on this node, for that attempt and no older one, of ranks that do
// not run here, while the vault has room. So an attempt that was cut off, and goes on saving, does
// not write over what its successor keeps. Once two steps of one attempt came for a rank, every
// rank has a newer copy than those of older attempts (checkpoint_saver.h), and these are removed.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/slot_file.h"
#include "worker/vault/own_ranks.h"
#include "worker/vault/parity_rows.h"
#include "worker/vault/peer_vault.h"
#include "worker/vault/vault.h"

namespace muster::worker::vault {

// One slot being written from another node's bytes. Threads: plain value.
class IncomingSlot {
 public:
  // Errors: kResourceExhausted; kUnavailable: somebody here reads what is in it.
  static absl::StatusOr<IncomingSlot> Begin(const std::string& folder, const SlotHead& head);

  absl::Status Write(uint64_t offset, std::span<const std::byte> data) {
    return file_.slot().CopyIn(offset, data);
  }
  // Onto what was written there.
  absl::Status Xor(uint64_t offset, std::span<const std::byte> data) {
    return file_.slot().XorIn(offset, data);
  }
  std::span<const std::byte> bytes() const { return file_.bytes(); }
  // Errors: kDataLoss: not what was announced, or not whole. It reads as nothing then.
  absl::Status Seal();

 private:
  IncomingSlot(SlotHead head, checkpoint::SlotFile file)
      : head_(std::move(head)), file_(std::move(file)) {}

  SlotHead head_;
  checkpoint::SlotFile file_;
};

class Intake {
 public:
  // The vault is not changed; its options are read.
  explicit Intake(Vault vault)
      : vault_(std::move(vault)),
        rows_(vault_, own_,
              [this](const std::string& uid, uint64_t attempt) { RemoveOlder(uid, attempt); }) {}

  void SetOwn(const std::string& job_uid, const OwnRanks& own) { own_.Set(job_uid, own); }
  void Forget(const std::string& job_uid);

  // Parity instead of copies.
  ParityRows& rows() { return rows_; }

  // True: that step is in that file already; from now on its copy knows what `head` knows.
  // Errors: kFailedPrecondition: never; kUnavailable: not yet; kResourceExhausted.
  absl::StatusOr<bool> Offer(const SlotHead& head, uint64_t attempt);

  // One file, from Begin until it is destroyed.
  class Writing {
   public:
    Writing(Intake& intake, std::string path, SlotHead head, IncomingSlot slot)
        : intake_(intake), path_(std::move(path)), head_(std::move(head)), slot_(std::move(slot)) {}
    ~Writing();
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

    absl::Status Write(uint64_t offset, std::span<const std::byte> data) {
      return slot_.Write(offset, data);
    }
    absl::Status Seal();

   private:
    Intake& intake_;
    const std::string path_;
    const SlotHead head_;
    IncomingSlot slot_;
  };

  // Errors: as Offer; kAborted: that file is being written.
  absl::StatusOr<std::unique_ptr<Writing>> Begin(const SlotHead& head, uint64_t attempt);

  // What is sealed of these ranks, whoever put it there.
  std::vector<SlotHead> List(const std::string& job_uid, uint32_t first_rank, uint32_t ranks) const;
  // A file that `head`, which was listed here, may still be in. Errors: kNotFound.
  absl::StatusOr<checkpoint::SlotFile> Open(const SlotHead& head) const;

 private:
  absl::Status MayCome(const SlotHead& head, uint64_t attempt) const;
  void MaybeRemoveOlder(const SlotHead& head);
  // Slots of ranks that run elsewhere, of attempts before this one.
  void RemoveOlder(const std::string& job_uid, uint64_t attempt);

  const Vault vault_;
  OwnRanksBook own_;
  mutable std::mutex mutex_;
  std::set<std::string> busy_;  // paths
  ParityRows rows_;             // after what it uses
};

}  // namespace muster::worker::vault
