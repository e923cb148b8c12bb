// The ranks of one attempt on one node, simulated: they run from the start, step by the clock,
// save, finish, die or hang. Speaks the shim's messages; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fleet/script.h"
#include "muster/v1/shim.pb.h"

namespace muster::fleet {

class SimShim {
 public:
  SimShim(const v1::StartRanks& start, const Script& script, int64_t now_ms);

  // What it says now: a report, and what rank 0 has to say about checkpoints.
  std::vector<v1::ShimToWorker> Say(int64_t now_ms);
  void Take(const v1::WorkerToShim& message, int64_t now_ms);

  bool Holds(uint32_t rank) const;
  void KillRank(uint32_t rank, int64_t now_ms);  // the others follow
  void HangRank(int64_t now_ms);                 // and with it the steps of all
  bool exiting() const { return exiting_; }      // told to end, and has

 private:
  uint64_t StepAt(int64_t now_ms) const;
  v1::AttemptReport Report(int64_t now_ms);
  v1::CheckpointRef Checkpoint(uint64_t step, int64_t now_ms) const;

  v1::StartRanks start_;
  const Script* script_;
  int64_t started_ms_;
  int64_t hung_ms_ = -1;
  uint64_t first_step_ = 0;
  uint64_t target_ = 0;  // 0 = no end
  uint64_t asked_ = 0;   // newest step it asked to commit
  uint64_t save_ = 0;    // the newest order to save; nobody writes anything for it
  std::vector<v1::ShimToWorker> unsaid_;
  enum class End { kNone, kFinished, kStopped, kFailed } end_ = End::kNone;
  uint32_t failed_rank_ = 0;
  uint64_t end_step_ = 0;
  int64_t end_ms_ = 0;
  uint64_t reports_ = 0;
  bool exiting_ = false;
};

}  // namespace muster::fleet
