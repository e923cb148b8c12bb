// Computes slots of this node's ranks that no node has, from parity and the other members' slots.
//
// For each of a rank's two newest steps: one row of every member but the rank's own, and of each
// other rank that gave to them its slot of the same step. Chunk by chunk the row and the others'
// chunks are added up into the slot's file; what comes out must have the checksum the rank's chunk
// had when it was given, and the whole slot all of its own.
//
// Threads: some of its own, joined before it returns. Memory: the slots that are made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "worker/vault/fetch.h"
#include "worker/vault/peer_vault.h"

namespace muster::worker::vault {

// A row, and whose it is.
struct RowAt {
  size_t source = 0;
  RowHead row;
};

// What one rank's slot of one step is computed from.
struct Recipe {
  SlotHead wanted;
  std::vector<RowAt> rows;         // of all members but its own, by holder
  std::vector<Wanted::At> others;  // the slots the rows were made of, but for this one
};

// All there are for `rank`, newest last. `missing` is told what keeps the newest from being one.
std::vector<Recipe> FindRecipes(uint32_t rank, const std::vector<RowAt>& rows,
                                const std::vector<Wanted::At>& slots,
                                const std::vector<SlotSource>& sources, std::string* missing);

// `whole`: what this node has, verified. Counts and troubles are added to `done`.
void RebuildSlots(const FetchOrder& order, const std::map<uint32_t, std::vector<SlotHead>>& whole,
                  const Dial& dial, const std::function<bool()>& goes_on, Fetched* done);

}  // namespace muster::worker::vault
