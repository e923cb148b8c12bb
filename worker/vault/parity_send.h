// Sends the chunks of a slot to the other members of its parity group.
//
// Pure but for the calls: the peers are handed in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/vault/peer_vault.h"

namespace muster::worker::vault {

struct ParityMember {
  std::string node;
  std::string address;
  RankRun run;
};

// The bytes of `range` of a slot's file in parts of at most `part_bytes`, its words as zeros, until
// `take` says something else than ok. What it is given may be kept only for the call.
absl::Status ForEachPart(
    std::span<const std::byte> slot, const ByteRange& range, uint64_t part_bytes,
    const std::function<absl::Status(uint64_t offset, std::span<const std::byte>)>& take);

// The members' runs, in order.
ParityGroup GroupOf(const std::vector<ParityMember>& members);

// What `file`, whose head is `head`, gives to each other member, by member; the place of its own
// rank is left out. Beside it: what else this rank holds sealed, when the slot was saved by
// `attempt` itself; a slot that was gone on from is the one that all have.
std::vector<ChunkOffer> ChunkOffers(const SlotHead& head, const std::vector<ParityMember>& members,
                                    uint64_t attempt, const checkpoint::SlotFile& file);

// Ok: the chunk is in its row. Errors: what the holder said; kCancelled.
absl::Status SendChunk(PeerVault& holder, const ChunkOffer& offer, const checkpoint::SlotFile& file,
                       const std::function<bool()>& goes_on);

}  // namespace muster::worker::vault
