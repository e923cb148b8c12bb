#include "worker/vault/parity_send.h"

#include <algorithm>
#include <filesystem>

#include "common/status.h"

namespace muster::worker::vault {

using checkpoint::SlotFile;

absl::Status ForEachPart(
    std::span<const std::byte> slot, const ByteRange& range, uint64_t part_bytes,
    const std::function<absl::Status(uint64_t offset, std::span<const std::byte>)>& take) {
  std::vector<std::byte> first;
  for (uint64_t at = range.begin; at < range.end; at += part_bytes) {
    std::span<const std::byte> part = slot.subspan(at, std::min(part_bytes, range.end - at));
    if (at < checkpoint::RamSlot::kWordsEnd) {
      first.assign(part.begin(), part.end());
      ClearWords(at, first);
      part = first;
    }
    MUSTER_RETURN_IF_ERROR(take(at, part));
  }
  return absl::OkStatus();
}

ParityGroup GroupOf(const std::vector<ParityMember>& members) {
  ParityGroup group;
  for (const ParityMember& member : members) group.push_back(member.run);
  return group;
}

std::vector<ChunkOffer> ChunkOffers(const SlotHead& head, const std::vector<ParityMember>& members,
                                    uint64_t attempt, const SlotFile& file) {
  ChunkOffer offer{.slot = head, .attempt = attempt, .group = GroupOf(members)};
  if (head.id.attempt == attempt) {
    const char letter = head.letter == 'a' ? 'b' : 'a';
    const auto other = SlotFile::Open((std::filesystem::path(file.path()).parent_path() /
                                       checkpoint::SlotFileName(head.id.rank, letter))
                                          .string());
    const absl::StatusOr<SlotHead> beside = other.ok() ? HeadOf(*other) : other.status();
    if (beside.ok()) {
      offer.beside_attempt = beside->id.attempt;
      offer.beside_step = beside->id.step;
    }
  }
  std::vector<ChunkOffer> offers;
  for (uint32_t holder = 0; holder < members.size(); ++holder) {
    if (members[holder].run.has(head.id.rank)) continue;
    offer.holder = holder;
    offers.push_back(offer);
  }
  return offers;
}

absl::Status SendChunk(PeerVault& holder, const ChunkOffer& offer, const SlotFile& file,
                       const std::function<bool()>& goes_on) {
  MUSTER_ASSIGN_OR_RETURN(const uint64_t taken, holder.OfferChunk(offer));
  if (taken >= offer.chunk().size()) return absl::OkStatus();
  return holder.PutChunk(offer, taken, file, goes_on);
}

}  // namespace muster::worker::vault
