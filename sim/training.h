// What the ranks of one attempt do together: load, step, save, finish.
//
// Steps are not simulated one by one: progress is worked out from the time. Something happens only
// at saves and at the end. When a rank is lost the others stand still until they are killed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "muster/v1/worker_stream.pb.h"
#include "sim/agenda.h"

namespace muster::sim {

class Shim;
class World;

class Training {
 public:
  Training(World* world, const v1::StartRanks& start);

  // The one this order belongs to.
  static Training* Of(World* world, const v1::StartRanks& start);

  void Join(Shim* shim);
  void Leave(Shim* shim);
  bool broken() const { return broken_; }
  uint64_t attempt() const { return attempt_; }
  uint64_t base() const { return base_; }  // the step it resumed from

  void Hello();     // of one rank
  void RankGone();  // one ended badly, or was cut off
  void StopAsked();
  void OnCommitReply(uint64_t step, bool permitted);
  void FillProgress(v1::Progress& progress) const;
  uint64_t StepNow() const;  // the last one finished
  bool stepping() const { return state_ == State::kStepping; }

 private:
  Training(World* world, const v1::StartRanks& start, const v1::GangOrder& gang);

  enum class State { kGathering, kLoading, kStepping, kEnding, kHung, kOver };
  void Load();
  void PlanNext();
  void Reach(uint64_t step);
  void Save(uint64_t step);
  void Written(uint64_t step);
  void End(int code);
  void Panic();
  Shim* Root() const;  // holds rank 0; nullptr = gone
  std::string ManifestOf(uint64_t step) const;
  bool Unreadable(const v1::CheckpointRef& ref) const;
  void CheckOrder(const v1::GangOrder& gang) const;

  World* const world_;
  const uint64_t job_;
  const std::string uid_;
  const uint64_t attempt_;
  const uint64_t ranks_;
  const uint64_t target_;
  const uint64_t save_every_;
  const uint64_t keep_;
  const Micros step_span_;
  const bool broken_;
  const uint64_t bug_;    // the step it never finishes; 0 = none
  const uint64_t panic_;  // the step in which the machine of rank 0 goes down; 0 = none
  const uint64_t nonce_;
  const std::vector<v1::CheckpointRef> resume_;
  std::vector<Shim*> shims_;
  State state_ = State::kGathering;
  uint64_t hellos_ = 0;
  uint64_t base_ = 0;   // resumed from
  bool loads_ = false;  // or did
  Micros base_at_ = 0;  // when stepping began there
  uint64_t frozen_step_ = 0;
  uint64_t saving_ = 0;  // step of the save under way; 0 = none
  bool stop_asked_ = false;
  bool reached_end_ = false;  // the last save is under way or done
  int end_code_ = 0;
  uint64_t turn_ = 0;  // plans made before do not count
};

}  // namespace muster::sim
