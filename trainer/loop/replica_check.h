// Compares the weights of data-parallel replicas by hash, to find a machine that computes wrongly.
//
// Reductions run in a fixed order, so replicas hold the same bits after every step. Where they do
// not, memory or a processor has erred, and nothing else tells. The replica that differs from the
// majority is named; of two that differ neither can be.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rank/checkpoint/console.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::loop {

// What one comparison of replicas says; `hashes[i]` is of replica i. Pure.
struct ReplicaVerdict {
  bool equal = true;
  std::vector<size_t> odd;  // those not of the majority; empty if there is no majority
};
ReplicaVerdict JudgeReplicas(std::span<const uint64_t> hashes);

// One number of LocalFingerprints: a change of any of them changes it.
uint64_t HashOfReplica(const std::vector<uint64_t>& fingerprints);

// `mine`: LocalFingerprints of this rank; `hashes`: HashOfReplica of every rank's. Collective over
// the world where replicas differ, and no call to another rank where they do not. ok: all replicas
// are equal. Errors: on a replica that differs from the majority kInternal, at once and on it
// alone: it says "silent data corruption" and the tensors. On all others whatever the collectives
// say when that rank is gone; they wait for it. Without a majority: the same error on every rank
// (SaidByAll), naming both.
absl::Status CompareHashes(const parallel::ParameterTable& table, const std::vector<uint64_t>& mine,
                           const std::vector<uint64_t>& hashes, uint64_t step,
                           const RankGroups& groups, const rank::Console& console);

// The same, when the hashes are not known yet. Collective over the world: a small all-gather.
absl::Status CompareReplicas(const parallel::ParameterTable& table,
                             const std::vector<uint64_t>& mine, uint64_t step,
                             const RankGroups& groups, const rank::Console& console);

}  // namespace muster::trainer::loop
