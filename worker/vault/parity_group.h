// Which bytes of a slot are whose in a parity group: arithmetic.
//
// A group of m members, each the consecutive ranks of one node. A slot's file is cut into m - 1
// chunks of whole pages; chunk c of member i goes to member (i + 1 + c) mod m. Member t keeps, for
// each place in a run of ranks, one row: the XOR of the chunks that the ranks at that place in the
// other members' runs send to it, the shorter ones with zeros behind. So each row lacks its
// holder's bytes alone, and of one lost member every chunk is in the row of another one, together
// with chunks that the others still have.
//
// The words of a slot that change while it is sealed count as zeros.
//
// Pure: plain values in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace muster::worker::vault {

inline constexpr size_t kGroupMembersMin = 2;
inline constexpr size_t kGroupMembersMax = 33;

// Consecutive ranks: those of a member.
struct RankRun {
  uint32_t first_rank = 0;
  uint32_t ranks = 0;

  bool operator==(const RankRun&) const = default;
  bool has(uint32_t rank) const { return rank >= first_rank && rank - first_rank < ranks; }
};

using ParityGroup = std::vector<RankRun>;

// Its size is in bounds, and no rank is in two members.
bool IsGroup(const ParityGroup& group);
std::optional<size_t> MemberOf(const ParityGroup& group, uint32_t rank);

struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;

  uint64_t size() const { return end - begin; }
};

// Of a slot's file of `slot_bytes` of member `from`: what goes into the rows of `holder`, another
// one. Empty where a slot has fewer pages than chunks.
ByteRange ChunkOf(uint64_t slot_bytes, size_t members, size_t from, size_t holder);

// The other members that have a rank at this place of their run: who gives to such a row.
std::vector<uint32_t> RanksAt(const ParityGroup& group, size_t holder, uint32_t place);

// Sets to zero what of these bytes, from `offset` of a slot's file on, is in its words.
void ClearWords(uint64_t offset, std::span<std::byte> bytes);

}  // namespace muster::worker::vault
