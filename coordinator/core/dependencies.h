// Jobs that start after something happened to others.
//
// A job can only name jobs submitted before it, so there is no circle. What it waits for comes true
// once and stays true. When it can no longer come true, the job is doomed: the next Step ends it as
// CANCELLED, with the reason; a job that waits for that one may be doomed in turn.
//
// Cost: an index leads from a job to those that wait for it; no other job is looked at.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/ids.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

struct ClusterState;
struct Job;
class Turn;

// One thing a job waits for.
struct After {
  JobId job;
  v1::AfterEvent when = v1::AFTER_EVENT_UNSPECIFIED;
  bool met = false;
};

// Derived from the records.
struct Dependencies {
  std::map<JobId, std::vector<JobId>> dependents;  // of jobs that have not ended
  std::set<JobId> doomed;                          // still to be ended
};

// Puts ids in the place of names. kNotFound when a job does not exist, kFailedPrecondition when
// what is waited for can never come true.
absl::Status ResolveDependencies(const ClusterState& state, v1::JobSpec* spec);

// Once, when the job is submitted.
void WatchDependencies(ClusterState& state, Job& job);
// The job was started, or ended: tells those that wait for it.
void SettleDependents(ClusterState& state, const Job& job);

// Ends the doomed jobs, until there are none.
void EndDoomed(Turn& turn);

// "job 3 (prep) has not succeeded yet", "...; and 2 more"; empty when everything came true.
std::string OpenText(const ClusterState& state, const Job& job);
// What a job that is not submitted would still wait for, after ResolveDependencies.
std::vector<After> OpenAfter(const ClusterState& state, const v1::JobSpec& spec);
// The same in words, of the first.
std::string OpenText(const ClusterState& state, const v1::JobSpec& spec);

}  // namespace muster::coordinator::core
