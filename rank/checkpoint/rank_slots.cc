#include "rank/checkpoint/rank_slots.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "rank/checkpoint/save_memory.h"

namespace muster::rank {

using checkpoint::SlotFile;

namespace {

constexpr int kReleaseTries = 200;  // of a millisecond
// Between two tries to make room where there was none.
constexpr double kTryAgainSeconds = 10;

}  // namespace

RankSlots::~RankSlots() {
  if (thread_.joinable()) thread_.join();
}

void RankSlots::Reserve(const checkpoint::ShardLayout& layout, std::optional<char> kept,
                        uint64_t kept_step) {
  if (options_.folder.empty()) return;
  CHECK(state_ == State::kOff, "room for RAM slots is made once");
  for (size_t i = 0; i < steps_.size(); ++i) {
    steps_[i] = kept == checkpoint::kSlotLetters[i] ? kept_step : 0;
  }
  bytes_ = checkpoint::SlotBytes(layout);
  Start();
}

void RankSlots::MaybeTryAgain() {
  if (state() != State::kRefused || refused_since_.Seconds() < kTryAgainSeconds) return;
  if (2 * bytes_ > options_.bytes) return;
  thread_.join();
  Start();
}

void RankSlots::Start() {
  state_ = State::kReserving;
  thread_ = std::thread([this] {
    refused_ = MakeRoom(bytes_);
    if (!refused_.ok()) GiveRoomBack();
    refused_since_ = Stopwatch();
    state_.store(refused_.ok() ? State::kReady : State::kRefused, std::memory_order_release);
  });
}

std::string RankSlots::why_refused() const {
  return state() == State::kRefused ? std::string(refused_.message()) : std::string();
}

absl::Status RankSlots::MakeRoom(uint64_t bytes) {
  if (2 * bytes > options_.bytes) {
    return ResourceExhausted(
        "two RAM slots of {} MB each do not fit into the {} MB this rank has of its node's vault; "
        "give the worker more with --vault-memory",
        (bytes >> 20) + 1, options_.bytes >> 20);
  }
  for (size_t i = 0; i < files_.size(); ++i) {
    const std::string path =
        options_.folder + "/" + checkpoint::SlotFileName(owner_.rank, checkpoint::kSlotLetters[i]);
    if (steps_[i] == 0) {  // what is there already is memory that was found before
      absl::StatusOr<SlotFile> there = SlotFile::Open(path);
      const bool fits = there.ok() && there->bytes().size() == bytes;
      if (!fits) MUSTER_RETURN_IF_ERROR(CheckAvailable(bytes, "a RAM slot"));
    }
    MUSTER_ASSIGN_OR_RETURN(files_[i], SlotFile::Reserve(path, bytes));
    // Of an attempt that is over: nobody can commit it any more.
    checkpoint::RamSlot& slot = files_[i].slot();
    slot.Release(checkpoint::kHeldByRank);
    if (slot.awaits_drain()) slot.GiveUpDrain(Unavailable("the attempt that saved it is over"));
    if (steps_[i] == 0 && slot.awaits_replica()) slot.Mark(checkpoint::kSlotReplicaGivenUp);
  }
  return absl::OkStatus();
}

void RankSlots::GiveRoomBack() {
  for (size_t i = 0; i < files_.size(); ++i) {
    if (steps_[i] != 0) continue;  // what was gone on from
    files_[i] = SlotFile();
    const std::string name = checkpoint::SlotFileName(owner_.rank, checkpoint::kSlotLetters[i]);
    ::unlink((options_.folder + "/" + name).c_str());
  }
}

SlotFile* RankSlots::ForFill(uint64_t keep_step) {
  CHECK(state() == State::kReady, "RAM slots are used before they are there");
  SlotFile* chosen = nullptr;
  uint64_t chosen_step = 0;
  for (size_t i = 0; i < files_.size(); ++i) {
    if (keep_step != 0 && steps_[i] == keep_step) continue;
    if (files_[i].slot().held()) continue;
    if (chosen != nullptr && steps_[i] >= chosen_step) continue;
    chosen = &files_[i];
    chosen_step = steps_[i];
  }
  return chosen;
}

void RankSlots::NoteSealed(const SlotFile* file, uint64_t step) {
  for (size_t i = 0; i < files_.size(); ++i) {
    if (&files_[i] == file) steps_[i] = step;
  }
}

void RankSlots::GiveUpReplica(SlotFile* file) {
  file->slot().Mark(checkpoint::kSlotReplicaGivenUp);
  for (int i = 0; i < kReleaseTries && file->slot().held_by(checkpoint::kHeldByReplication); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void RankSlots::NoteSpoiled(const SlotFile* file) { NoteSealed(file, 0); }

checkpoint::SlotId RankSlots::IdOf(uint64_t step, uint64_t attempt) const {
  checkpoint::SlotId id = owner_;
  id.step = step;
  id.attempt = attempt;
  return id;
}

}  // namespace muster::rank
