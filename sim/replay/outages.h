// The outages of jobs: from the moment training stands still to the moment it is back where it was,
// phase by phase, with their story.
//
// Another failure before training went on belongs to the same outage.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "muster/v1/journal.pb.h"
#include "sim/agenda.h"
#include "sim/replay/fault.h"

namespace muster::sim::replay {

enum class OutagePhase { kDetect, kStop, kReplace, kStart, kLoad, kRecompute };
inline constexpr size_t kOutagePhases = 6;
inline constexpr std::array<const char*, kOutagePhases> kOutagePhaseNames = {
    "detect", "stop", "replace", "start", "load", "recompute"};

struct Outage {
  uint64_t job = 0;
  uint64_t number = 0;  // of the attempt that failed
  Micros at = 0;
  std::string cause;  // of the first fault
  FaultKind kind = FaultKind::kRankDies;
  uint32_t nodes_hit = 0;
  uint32_t attempts = 0;                 // that were started to repair it
  v1::Rung rung = v1::RUNG_UNSPECIFIED;  // of the last of those
  uint64_t steps_lost = 0;
  std::array<Micros, kOutagePhases> spent = {};
  bool over = false;  // training goes on, and all lost steps are done again
  std::vector<std::string> story;

  Micros Down() const;  // training stood still
  Micros All() const;   // and the steps that were done again
};

class Outages {
 public:
  // A node of the job's attempt failed. Begins an outage, or joins the one under way.
  void Hit(Micros now, uint64_t job, uint64_t attempt, const Fault& fault, const std::string& node);
  // The attempt was given up; what the coordinator says about it.
  void Known(Micros now, const v1::AttemptStopping& stopping);
  void Gone(Micros now, uint64_t job);
  void Placed(Micros now, const v1::AttemptStarted& started, v1::Rung rung);
  void Up(Micros now, uint64_t job);
  void Stepping(Micros now, uint64_t job, uint64_t from, uint64_t best);
  void CaughtUp(Micros now, uint64_t job);
  // The replay, or the job, ends.
  void Close(Micros now);

  bool IsOpen(uint64_t job) const { return open_.count(job) > 0; }
  // Those that are over, and in the end all, by time.
  const std::vector<Outage>& all() const { return all_; }

 private:
  struct Open {
    Outage outage;
    OutagePhase phase = OutagePhase::kDetect;
    Micros since = 0;
  };
  Open* Find(uint64_t job);
  void Turn(Open& open, Micros now, OutagePhase next);
  void Tell(Open& open, Micros now, const std::string& what);

  std::map<uint64_t, Open> open_;
  std::vector<Outage> all_;
};

}  // namespace muster::sim::replay
