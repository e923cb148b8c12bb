// How often nodes fail, as this cluster has seen it, and what follows for jobs: the time between
// failures, how often to save, how many spares to keep.
//
// The rate is failures per node-hour, both decaying with a half-life of a week, beside one failure
// seen before the first day at the rate of Meta's RSC-1 cluster, 6.5 failures per 1,000 node-days
// (Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters",
// 2024): what a cluster has not seen yet it is told, and it believes its own eyes within days.
//
// What takes several nodes at once (a rack) is one failure: losses within ten seconds of another
// count once.
//
// Time: callers pass it; it never goes back. Threads: none.
#pragma once

#include <cstdint>

namespace muster::coordinator::core {

class FailureRate {
 public:
  // `nodes` were up from the last call until now.
  void Advance(int64_t now_unix_ms, uint64_t nodes);
  // A node was lost, or a machine ended a job's attempt.
  void Count(int64_t now_unix_ms);

  double PerNodeHour() const;
  // Mean time between failures of so many nodes together.
  double MtbfSeconds(uint64_t nodes) const;

 private:
  double failures_ = 0;    // decayed
  double node_hours_ = 0;  // decayed
  int64_t at_unix_ms_ = 0;
  int64_t last_unix_ms_ = 0;  // of the last failure that counted or would have
};

// Seconds of work between two checkpoints that cost the least time, when a save stops training for
// `save_seconds` and failures come `mtbf_seconds` apart. Young's sqrt(2 x save x MTBF) with Daly's
// correction: J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart
// dumps", Future Generation Computer Systems 22 (2006), eq. 37. The MTBF itself when saving takes
// longer than twice that.
double BestIntervalSeconds(double save_seconds, double mtbf_seconds);

// The same in whole steps, at least 1. 0: a step takes no time that is known.
uint64_t BestIntervalSteps(double save_seconds, double mtbf_seconds, double step_seconds);

// How many of `nodes` are being repaired at once, no more than which in 99 of 100 moments: the
// quantile of a Poisson distribution with mean nodes x rate x repair time.
uint32_t SparesFor(uint64_t nodes, double failures_per_node_hour, double repair_hours);

}  // namespace muster::coordinator::core
