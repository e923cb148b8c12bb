#include "worker/vault/parity_group.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/ram_slot.h"
#include "common/check.h"

namespace muster::worker::vault {

bool IsGroup(const ParityGroup& group) {
  if (group.size() < kGroupMembersMin || group.size() > kGroupMembersMax) return false;
  ParityGroup sorted = group;
  std::sort(sorted.begin(), sorted.end(),
            [](const RankRun& a, const RankRun& b) { return a.first_rank < b.first_rank; });
  uint64_t next = 0;
  for (const RankRun& run : sorted) {
    if (run.ranks == 0 || run.first_rank < next) return false;
    next = uint64_t{run.first_rank} + run.ranks;
  }
  return true;
}

std::optional<size_t> MemberOf(const ParityGroup& group, uint32_t rank) {
  for (size_t i = 0; i < group.size(); ++i) {
    if (group[i].has(rank)) return i;
  }
  return std::nullopt;
}

ByteRange ChunkOf(uint64_t slot_bytes, size_t members, size_t from, size_t holder) {
  CHECK(members >= kGroupMembersMin && from < members && holder < members && from != holder,
        "a chunk of member {} for member {} of {}", from, holder, members);
  constexpr uint64_t kPage = checkpoint::kSlotPageBytes;
  const uint64_t chunks = members - 1;
  const uint64_t pages = (slot_bytes + kPage - 1) / kPage;
  const uint64_t bytes = (pages + chunks - 1) / chunks * kPage;
  const uint64_t index = (holder + members - from - 1) % members;
  return {std::min(index * bytes, slot_bytes), std::min((index + 1) * bytes, slot_bytes)};
}

std::vector<uint32_t> RanksAt(const ParityGroup& group, size_t holder, uint32_t place) {
  std::vector<uint32_t> ranks;
  for (size_t i = 0; i < group.size(); ++i) {
    if (i != holder && place < group[i].ranks) ranks.push_back(group[i].first_rank + place);
  }
  return ranks;
}

void ClearWords(uint64_t offset, std::span<std::byte> bytes) {
  const uint64_t from = std::max(offset, checkpoint::RamSlot::kWordsBegin);
  const uint64_t to = std::min(offset + bytes.size(), checkpoint::RamSlot::kWordsEnd);
  if (from < to) std::memset(bytes.data() + (from - offset), 0, to - from);
}

}  // namespace muster::worker::vault
