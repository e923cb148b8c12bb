// A cluster with a past: jobs of one rank that failed, each given up at once, in an incident of its
// own.
#pragma once

#include "coordinator/core/cluster.h"

namespace muster::coordinator::rpc {

class FailedJobs {
 public:
  explicit FailedJobs(const core::Options& options);

  // The next job: submitted, placed, failed, ended.
  void FailOne();
  const core::Cluster& cluster() const { return cluster_; }

 private:
  core::Outcome Step(core::Input input);

  core::Cluster cluster_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  uint64_t jobs_ = 0;
};

}  // namespace muster::coordinator::rpc
