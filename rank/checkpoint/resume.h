// Goes on from the newest state there is: from the memory of the nodes, from storage, or from both
// at once, whatever layout saved it.
//
// Steps that memory holds and storage does not come first (memory_steps.h says which may be gone on
// from), newest first, as long as they are newer than the newest checkpoint on storage and of its
// attempt or a later one. Then the checkpoints on storage, newest first: what memory holds of one,
// byte for byte, is taken from there, and the rest is read. Damage anywhere is first looked for in
// another place, and then means the next older step. Nothing is used before its checksum was
// looked at (load_state.h).
//
// Threads: the rank's one. All functions are collective.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/load_plan.h"
#include "checkpoint/manifest.h"
#include "checkpoint/resume.h"
#include "checkpoint/shard.h"
#include "rank/checkpoint/checkpoint_saver.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/load_state.h"
#include "rank/checkpoint/memory_steps.h"
#include "rank/checkpoint/rank_slots.h"

namespace muster::rank {

struct ResumeRequest {
  std::string root;  // folder of the job's checkpoints
  // What the coordinator permitted, newest first; nullopt: started without one, take what is there.
  std::optional<std::vector<checkpoint::Permitted>> permitted;
  std::string init_from;  // one checkpoint's folder, for a job with none of its own; or ""
  uint64_t attempt = 1;   // that begins

  // This rank's boxes of such a checkpoint, and where their bytes go.
  std::function<std::vector<checkpoint::Request>(const checkpoint::Manifest&, bool from_init)>
      requests;
  // Whether it is one of this program's at all; an error ends the resume. None: it is.
  std::function<absl::Status(const checkpoint::Manifest&, const std::string& folder)> accept;
  // After every rank's boxes are filled; kDataLoss counts as damage. Collective. None: no check.
  std::function<absl::Status(const checkpoint::Manifest&)> check;
};

struct Resumed {
  std::string folder;  // "RAM of attempt 3" when storage does not have it
  checkpoint::Manifest manifest;
  bool from_init = false;    // from init_from: another job's
  bool on_storage = false;   // storage has it
  bool from_memory = false;  // no rank needed storage for it
  double memory_share = 0;   // of the bytes of all ranks, 0 to 1
  LoadedBytes bytes;         // of this rank
  // Slots of this rank's node that it was taken from, marked with this attempt; until a step beyond
  // it is finished they stay mapped.
  std::vector<OfferedSlot> slots;
};

// The same on every rank but for `bytes` and `slots`. nullopt: nothing to go on from; what was
// asked for may hold garbage then. Errors: kDataLoss when there are checkpoints and none is whole.
absl::StatusOr<std::optional<Resumed>> Resume(const ResumeRequest& request, const RankSlots& slots,
                                              Group& group, const Console& console,
                                              checkpoint::FileSystem& files);

// For people: "step-0000000040.a2, 75 % from memory", "RAM of attempt 3".
std::string WhereFrom(const Resumed& resumed);

// Collective. Makes room for saves of this layout beside what was gone on from: where its slots are
// of this layout, and every rank's, they stay until there is a newer step.
absl::Status ReserveBeside(const std::optional<Resumed>& resumed,
                           const checkpoint::ShardLayout& layout, Group& group, RankSlots& slots,
                           CheckpointSaver& saver);

// A step beyond the one these were gone on from is finished: it was not the state that failed. They
// are let go of.
void ForgetResumes(std::vector<OfferedSlot>* slots, bool replicated);

// The number of an attempt that nobody numbered, one above the highest in the folder `root`.
absl::StatusOr<uint64_t> NextAttempt(const std::string& root, Group& group,
                                     checkpoint::FileSystem& files);

}  // namespace muster::rank
