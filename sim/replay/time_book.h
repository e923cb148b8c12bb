// Where the wall time of one job went, kept by those who know what really happened in it, apart
// from the coordinator's own ledger.
//
// At any time the job is in exactly one kind, so the kinds sum to the time since Open. Steps are
// productive when the job had never got so far; steps done again, and the part of a step that a
// failure cut off, are recompute.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "muster/v1/ledger.pb.h"
#include "sim/agenda.h"

namespace muster::sim::replay {

class TimeBook {
 public:
  // Time not spent on new steps, per bin of this length, for the curve; 0 = none.
  explicit TimeBook(Micros bin) : bin_(bin) {}

  bool open() const { return open_; }
  void Open(Micros now, v1::LedgerKind kind);
  // From now on the job's time is of this kind. Ends stepping.
  void Enter(Micros now, v1::LedgerKind kind);
  // Steps from `step` on, each `step_span` long. Ends whatever was before.
  void EnterSteps(Micros now, uint64_t step, Micros step_span);
  void Close(Micros now);

  // Reached by stepping so far.
  uint64_t best_step() const { return best_step_; }
  uint64_t steps_again() const { return steps_again_; }
  Micros of(v1::LedgerKind kind) const { return spent_[static_cast<size_t>(kind)]; }
  Micros total() const;
  // Of each bin, time that was productive.
  const std::vector<Micros>& productive_bins() const { return bins_; }

 private:
  void Settle(Micros now, bool cut_off);
  void Add(v1::LedgerKind kind, Micros from, Micros until);

  const Micros bin_;
  std::array<Micros, v1::LedgerKind_ARRAYSIZE> spent_ = {};
  std::vector<Micros> bins_;
  bool open_ = false;
  bool stepping_ = false;
  v1::LedgerKind kind_ = v1::LEDGER_KIND_UNSPECIFIED;
  Micros since_ = 0;
  uint64_t from_step_ = 0;
  Micros step_span_ = 1;
  uint64_t best_step_ = 0;
  uint64_t steps_again_ = 0;
};

}  // namespace muster::sim::replay
