// What people ask of a cluster that many share: jobs of all shapes in several queues, and now and
// then a change of mind.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/queue.pb.h"
#include "tests/unit/core/scripted_world.h"

namespace muster::coordinator::core {

class MixedLoad {
 public:
  // For a cluster of so many nodes of 8 slots. Same seed, same load.
  MixedLoad(uint64_t seed, uint32_t nodes) : random_(seed), nodes_(nodes) {}

  std::vector<v1::QueueSpec> Queues() const;
  // Small jobs, gangs, some within axes, spread, exclusive, with spares; most with a time limit,
  // some in arrays, some after one of these jobs, few on hold.
  v1::JobSpec Job(const std::set<uint64_t>& jobs);
  std::string User() { return std::string("user") + static_cast<char>('a' + Below(4)); }
  // To the next submission: what comes is 80 to 110 % of what the cluster can do, in turns, and far
  // more at first.
  absl::Duration Gap(uint64_t index);
  // A person holds, suspends, resumes, requeues or cancels one of the jobs, or nothing.
  void Intervene(ScriptedWorld& world);

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  void Shape(v1::JobSpec& spec);
  void Place(v1::JobSpec& spec);
  void Schedule(v1::JobSpec& spec, const std::set<uint64_t>& jobs);

  std::mt19937_64 random_;
  uint32_t nodes_;
  uint64_t made_ = 0;
  double mean_work_ = 0;  // slot-seconds of a submission
};

}  // namespace muster::coordinator::core
