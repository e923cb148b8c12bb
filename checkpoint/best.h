// Which checkpoints have the lowest held-out loss, by what their own manifests say.
//
// The loss is the number `extra.eval_bits_per_byte` of the manifest's run state (of another program
// than the native trainer: `eval_bits_per_byte` of its state text): measured at the checkpoint's
// step, or last before it. So of several with the same loss the earliest is the one it
// was measured at, and counts as the best of them. One without a number, with one that is not above
// zero, or whose manifest cannot be read, is never among the best.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/store.h"

namespace muster::checkpoint {

// In bits per byte; nullopt: not measured.
std::optional<double> HeldOutLoss(const RunState& run);

// At most `count` of `entries`, which are committed; the best first. Reads each one's manifest.
std::vector<CheckpointId> BestOf(const std::vector<const CheckpointEntry*>& entries, size_t count,
                                 FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
