// The steps that the memory of the job's nodes holds, of whatever layout.
//
// A node's vault has the slots of the ranks that ran there and copies of other nodes' slots. Each
// file is offered by one rank of the node: by the rank whose number it bears, where that rank runs
// there. A shard that several offer is given out by the one whose own it is, or the lowest; damage
// found in it makes it the next one's turn.
//
// Offered is what belongs to an attempt not older than `since`, as its own or because that one went
// on from it: the newest attempt that finished a step as far as the coordinator knows, or the first
// one after a checkpoint was marked bad or replicas differed. So what an attempt sealed after its
// nodes were cut off and the job went on elsewhere is never gone on from.
//
// A step may be gone on from without storage (whole) when every shard of it is offered, its attempt
// is over, and not two attempts went on from it without finishing a step: the state itself may be
// what fails.
//
// Threads: the rank's one. Owns: the mappings.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "checkpoint/ram_slot.h"
#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/load_state.h"
#include "rank/checkpoint/rank_slots.h"

namespace muster::rank {

constexpr uint32_t kRamResumesMax = 2;

// A slot this rank offers; its header and metadata are verified, its shard only once it is chosen.
struct OfferedSlot {
  char letter = 'a';
  checkpoint::SlotFile file;
  checkpoint::SlotContent content;
  bool own = false;       // of a rank of this number
  bool eligible = false;  // for a step that storage does not have
};

class MemorySteps {
 public:
  // Collective. Waits until the worker has brought what other nodes have. The id's step and attempt
  // are those of no slot; `attempt` is the one that begins.
  static absl::StatusOr<MemorySteps> Look(const VaultOptions& options,
                                          const checkpoint::SlotId& owner, uint64_t attempt,
                                          Group& group, const Console& console);

  uint64_t node() const { return node_; }

  // Newest attempt first, then newest step. The same on every rank.
  const std::vector<checkpoint::CheckpointId>& whole() const { return whole_; }

  // Collective. Verifies and chooses the shards of a whole step, and makes its manifest, which
  // proves that together they are all of the state. kDataLoss, on every rank: it is not whole after
  // all.
  absl::StatusOr<checkpoint::Manifest> ChooseWhole(checkpoint::CheckpointId id);
  // Collective. Chooses what memory holds, verified, of a checkpoint that storage has.
  absl::Status ChooseOf(const checkpoint::Manifest& manifest);

  // What this rank gives out of the step chosen last, whose manifest this is.
  std::vector<ShardInMemory> ShardsOf(const checkpoint::Manifest& manifest) const;
  // The slots these are in, with their mappings; nothing is offered any more.
  std::vector<OfferedSlot> TakeChosen();

 private:
  // Which ranks offer a shard, the one to be asked first in front; by writer.
  struct Shards {
    uint64_t world_size = 0;
    std::map<uint64_t, std::vector<int>> holders;
  };

  MemorySteps(Group& group, const Console& console) : group_(&group), console_(&console) {}

  void Find(const VaultOptions& options, const checkpoint::SlotId& owner, uint64_t attempt,
            const std::vector<int>& local);
  // Collective.
  absl::Status Tell();
  // Collective: afterwards the first holder of each shard has it whole, and where there is a
  // manifest, just as it says.
  absl::Status Choose(checkpoint::CheckpointId id, Shards* shards,
                      const checkpoint::Manifest* manifest);
  std::optional<size_t> SlotOf(checkpoint::CheckpointId id, uint64_t writer) const;
  absl::Status Check(const OfferedSlot& slot, const checkpoint::Manifest* manifest) const;
  absl::StatusOr<checkpoint::Manifest> Join(checkpoint::CheckpointId id);

  Group* group_;
  const Console* console_;
  std::string job_uid_;
  uint64_t node_ = 0;
  std::vector<OfferedSlot> slots_;
  std::map<checkpoint::CheckpointId, Shards> eligible_;
  std::map<checkpoint::CheckpointId, Shards> all_;
  std::vector<checkpoint::CheckpointId> whole_;
  std::vector<size_t> chosen_;  // of slots_
};

}  // namespace muster::rank
