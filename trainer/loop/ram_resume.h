// Goes on from the RAM slots of the ranks: a memcpy instead of a read, and steps that storage never
// saw.
//
// Which step: all ranks tell what they hold sealed, of this job and world size, in this layout. Of
// the steps that every rank holds the newest is taken, newest attempt first, when
//   - it is newer than the newest checkpoint the coordinator permitted and that is committed, and
//   of
//     the same attempt or a later one;
//   - its attempt, or one that went on from it, is not older than `since`: the newest attempt that
//   finished a step as far as the
//     coordinator knows, or the first one after a checkpoint was marked bad. So what an attempt
//     sealed after its nodes were cut off and the job went on elsewhere is never gone on from;
//   - not two attempts went on from it without finishing a step: the state itself may be what
//   fails.
// Every checksum is verified first; damage anywhere means the next older step, and in the end
// storage.
//
// A rank's slot holds its shares (ZeRO): what it needs of others comes from them as after an update
// of the optimizer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/store.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/rank_slots.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/loop/resume.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/shard_plan.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::loop {

// Where the state goes.
struct RestoreTarget {
  const parallel::ParameterTable& table;
  const optim::ShardPlan& plan;
  std::span<float> params;
  optim::Optimizer& optimizer;
};

struct RamResumed {
  Resumed resumed;
  char letter = 'a';  // of this rank's slot
  checkpoint::SlotFile slot;
};

constexpr uint32_t kRamResumesMax = 2;

// Collective over the world; the same step on every rank. nullopt: nothing to go on from in RAM;
// the target may hold garbage then. `stored`: the newest checkpoint on storage, as rank 0 knows it.
// Errors: a broken collective only.
absl::StatusOr<std::optional<RamResumed>> LoadFromSlots(
    const rank::RankSlots& slots, uint64_t attempt, std::optional<checkpoint::CheckpointId> stored,
    const RestoreTarget& target, RankGroups& groups, const rank::Console& console);

}  // namespace muster::trainer::loop
