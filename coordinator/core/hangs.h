// When an attempt counts as hung, and which rank hangs it.
//
// A hang is every rank's status page standing still: one that only waits for others looks the same
// as one that is stuck, so which it is comes from the collectives they are in. A rank that never
// comes to its first word stands still too; one that ended well is not waited for. A rank without a
// page is never judged, and its attempt neither.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/attempt.h"
#include "coordinator/core/turn.h"

namespace muster::coordinator::core {

// How long pages must stand still: what the job says (else Options::hang_after), at least ten
// steps; ten times as long before the first step and outside of steps, where loads and saves take
// their time.
int64_t HangLimitMs(const ClusterState& state, const Job& job, const Attempt& attempt);

// The rank the others wait for: one whose process is stopped; else one that is in no collective
// while others are; else the one furthest behind in its group; else one that waits for a disk; else
// the one that stands still for longest. Lowest rank first; never one that ended. Not empty: CHECK.
size_t RootOfHang(const std::vector<SeenRank>& ranks);

// "stands still in step 42: its process is stopped"
std::string StillText(const SeenRank& rank);

// Of those in a collective but the root, how many are in the same as most: "; 3 others wait in
// all-reduce 812 of data for 3.2 s", "; 2 of 3 others wait ...". Empty when none is in any.
std::string WaitersText(const std::vector<SeenRank>& ranks, size_t root);

// Fails the job's live attempt if it hangs.
void CheckHang(Turn& turn, Job& job);

}  // namespace muster::coordinator::core
