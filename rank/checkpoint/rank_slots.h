// The two RAM slots of this rank, in its node's vault.
//
// Sealed steps of an earlier attempt are looked for first (memory_steps.h), then room is made in
// the background (Reserve); saves use the slots once that is done. ForFill never gives the slot
// that holds the step to keep: the saver chooses that step, the same on every rank, so that at any
// moment there is one step that every rank holds.
//
// Threads: the rank's one, and one of its own for making room. The destructor waits for that.
// Owns:    the mappings; the files belong to the node and stay.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/ram_slot.h"
#include "checkpoint/slot_file.h"
#include "rank/checkpoint/stopwatch.h"

namespace muster::rank {

struct VaultOptions {
  std::string folder;          // of the job on this node; "" = the node has no vault
  uint64_t bytes = 0;          // this rank's part of it
  uint64_t since = 0;          // slots of older attempts are not gone on from
  bool worker_drains = false;  // else the rank itself writes its slots to storage
  bool replicated = false;     // the worker copies them to another node
};

class RankSlots {
 public:
  enum class State { kOff, kReserving, kReady, kRefused };

  // The id's step and attempt are those of no slot; uid, rank and world size are this rank's.
  RankSlots(const VaultOptions& options, checkpoint::SlotId owner)
      : options_(options), owner_(std::move(owner)) {}
  ~RankSlots();
  RankSlots(const RankSlots&) = delete;
  RankSlots& operator=(const RankSlots&) = delete;

  const VaultOptions& options() const { return options_; }

  // Makes room for two slots of this layout. `kept`: the slot whose step was gone on from; it is
  // kept until ForFill is told otherwise.
  void Reserve(const checkpoint::ShardLayout& layout, std::optional<char> kept, uint64_t kept_step);
  State state() const { return state_.load(std::memory_order_acquire); }
  // Of kRefused: makes room once more, unless that was tried a moment ago or is hopeless.
  void MaybeTryAgain();
  // Of kRefused: why there is no room. One line.
  std::string why_refused() const;

  // When state() is kReady: a slot that does not hold `keep_step` (0: none is kept), the older one
  // of two; nullptr when it is still being read.
  checkpoint::SlotFile* ForFill(uint64_t keep_step);
  void NoteSealed(const checkpoint::SlotFile* file, uint64_t step);
  void NoteSpoiled(const checkpoint::SlotFile* file);
  // Its copy on another node is no longer waited for. Returns when the worker has let go of it, or
  // after a moment.
  static void GiveUpReplica(checkpoint::SlotFile* file);
  uint64_t newest() const { return std::max(steps_[0], steps_[1]); }  // sealed; 0 = none

  checkpoint::SlotId IdOf(uint64_t step, uint64_t attempt) const;

 private:
  void Start();
  absl::Status MakeRoom(uint64_t bytes);
  // Two slots or none: what one had is given back.
  void GiveRoomBack();

  const VaultOptions options_;
  const checkpoint::SlotId owner_;
  std::array<checkpoint::SlotFile, 2> files_;
  std::array<uint64_t, 2> steps_ = {0, 0};  // of this run; 0 = nothing to go on from
  uint64_t bytes_ = 0;                      // of one slot
  std::thread thread_;
  Stopwatch refused_since_;
  std::atomic<State> state_ = State::kOff;
  absl::Status refused_;
};

}  // namespace muster::rank
