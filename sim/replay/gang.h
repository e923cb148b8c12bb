// One attempt as its ranks live it: all its shares together, in a few events.
//
// Nothing happens step by step: where training is, is worked out from the time. What a worker would
// say in between (heartbeats, acknowledged orders, progress) is folded into the reports that change
// something: every rank runs, a save, a failure, the end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "muster/v1/worker_stream.pb.h"
#include "sim/agenda.h"
#include "sim/replay/fault.h"

namespace muster::sim::replay {

class Replay;

class Gang : public std::enable_shared_from_this<Gang> {
 public:
  Gang(Replay* replay, const v1::StartRanks& start);

  uint64_t job() const { return job_; }
  uint64_t attempt() const { return attempt_; }
  // From the coordinator.
  void Start(uint32_t node, const v1::StartRanks& start);
  void Stop(Micros grace);
  void OnCommitReply(uint64_t step, bool permitted);
  void Ended() { over_ = true; }

  // The node's ranks stand still from now on, so all do.
  void Hit(uint32_t node, FaultKind kind);
  // Its worker tells that a rank of it ended badly and the others were killed; false = it has told
  // already that none is left, or the attempt is over.
  bool TellFailure(uint32_t node, const Fault& fault);

 private:
  struct Member {
    uint32_t node = 0;
    uint32_t first_rank = 0;
    uint32_t ranks = 0;
    bool stopped = false;  // told
  };
  enum class State { kGathering, kStarting, kLoading, kStepping, kSaving, kBroken, kFinished };

  void After(Micros delay, void (Gang::*act)());
  void Up();
  void Loaded();
  void FirstStep();
  void CaughtUp();
  void PlanNext();
  void SaveDue();
  void StallOver();
  void Written();
  void Committed();
  void Finish();
  void StopNow();
  void TellStopped();
  uint64_t StepNow() const;
  void TellProgress();
  v1::CheckpointRef Ref(uint64_t step) const;
  const Member* Root() const;

  Replay* const replay_;
  const uint64_t job_;
  const uint64_t attempt_;
  const size_t nodes_;
  uint64_t target_ = 0;
  uint64_t save_every_ = 0;
  uint64_t keep_ = 0;
  uint64_t resume_ = 0;
  Micros step_span_ = 1;
  std::vector<Member> members_;
  State state_ = State::kGathering;
  bool over_ = false;
  bool stopping_ = false;
  uint64_t turn_ = 0;  // events planned before do not count
  uint64_t anchor_step_ = 0;
  Micros anchor_at_ = 0;
  uint64_t frozen_step_ = 0;
  uint64_t saving_ = 0;   // being written or committed; 0 = none
  uint64_t leaving_ = 0;  // the save of a graceful stop
  Micros stop_by_ = 0;
  Micros stalled_ = 0;
  Micros loaded_in_ = 0;
};

}  // namespace muster::sim::replay
