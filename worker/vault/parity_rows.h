// The rows of parity that this node keeps: takes in the chunks of the other members of its groups,
// one after another or together, until each of them has given its own.
//
// A row is whole, and only then there for others, when all have given. It takes the place of one
// that nobody needs: never of the row that its chunks come beside (PeerVault::ChunkOffer), which is
// of the step that the ranks' other slots hold and the group may have to be computed from; else of
// one that is not whole, else of the oldest. A step older than one that was begun for the same
// attempt is not taken any more.
//
// A chunk that is cut short goes on at the byte where it was, for as long as this object lives;
// what a worker's death cuts short is gone, with the other chunks of that row.
//
// Taken under the same terms as whole slots (intake.h).
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/vault/own_ranks.h"
#include "worker/vault/parity_row.h"
#include "worker/vault/peer_vault.h"
#include "worker/vault/vault.h"

namespace muster::worker::vault {

class ParityRows {
 public:
  // `on_second`: two steps of one attempt have come whole, so every rank has newer ones than those
  // of older attempts. vault and own outlive it.
  ParityRows(const Vault& vault, const OwnRanksBook& own,
             std::function<void(const std::string& job_uid, uint64_t attempt)> on_second)
      : vault_(vault), own_(own), on_second_(std::move(on_second)) {}

  void Forget(const std::string& job_uid);

  // As PeerVault::OfferChunk. All of it: from now on the row knows what the slot knows. Errors:
  // kInvalidArgument; kUnavailable: not yet; kFailedPrecondition: never; kOutOfRange: newer steps
  // are here; kResourceExhausted.
  absl::StatusOr<uint64_t> Offer(const ChunkOffer& offer);
  // The next bytes of a chunk that was offered, `offset` from its beginning; no bytes at its end
  // for a chunk that has none. Errors: as Offer; kAborted: not the next ones.
  absl::Status Take(const ChunkOffer& offer, uint64_t offset, std::span<const std::byte> data);

  // Whole ones.
  std::vector<RowHead> List(const std::string& job_uid) const;
  // The file that `row`, which was listed here, may still be in. Errors: kNotFound.
  absl::StatusOr<RowFile> Open(const RowHead& row) const;

 private:
  struct Filling;                             // a row that some have given to
  using Key = std::pair<uint64_t, uint64_t>;  // attempt, step

  absl::Status Check(const ChunkOffer& offer) const;
  std::string PathOf(const ChunkOffer& offer, char letter) const;
  std::shared_ptr<Filling> Find(const std::string& path, const ChunkOffer& offer) const;
  absl::StatusOr<std::shared_ptr<Filling>> BeginRow(const ChunkOffer& offer);
  absl::StatusOr<bool> SealLocked(Filling& row);

  const Vault& vault_;
  const OwnRanksBook& own_;
  const std::function<void(const std::string&, uint64_t)> on_second_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Filling>> filling_;  // by path
};

}  // namespace muster::worker::vault
