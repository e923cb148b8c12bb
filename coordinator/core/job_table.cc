#include "coordinator/core/job_table.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/core/resize.h"

namespace muster::coordinator::core {

v1::JobState Job::State() const {
  if (ended()) return end_state;
  const Attempt* attempt = LiveAttempt();
  if (attempt == nullptr) return suspended ? v1::JOB_STATE_SUSPENDED : v1::JOB_STATE_QUEUED;
  switch (attempt->facts.state()) {
    case v1::ATTEMPT_STATE_STARTING:
      return v1::JOB_STATE_STARTING;
    case v1::ATTEMPT_STATE_RUNNING:
      return v1::JOB_STATE_RUNNING;
    case v1::ATTEMPT_STATE_STOPPING:
      return v1::JOB_STATE_STOPPING;
    case v1::ATTEMPT_STATE_ENDED:
    case v1::ATTEMPT_STATE_UNSPECIFIED:
    case v1::AttemptState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptState_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  CHECK(false, "job {} has a live attempt in no state", id.value());
}

void Job::SetSpec(v1::JobSpec chosen) {
  spec = std::move(chosen);
  shape = scheduler::ShapeOf(spec);
  placement_class = scheduler::PlacementClass(spec);
  shorter = ShorterShapesOf(spec);
}

void Job::ForgetWait() {
  waiting.clear();
  start_estimate = absl::InfiniteFuture();
}

Attempt* Job::LiveAttempt() {
  return !attempts.empty() && attempts.back().live() ? &attempts.back() : nullptr;
}

const Attempt* Job::LiveAttempt() const {
  return !attempts.empty() && attempts.back().live() ? &attempts.back() : nullptr;
}

Attempt* Job::FindAttempt(uint64_t number) {
  return number >= 1 && number <= attempts.size() ? &attempts[number - 1] : nullptr;
}

JobId JobTable::NextId() const {
  return JobId(jobs_.empty() ? 1 : jobs_.rbegin()->first.value() + 1);
}

Job& JobTable::Add(JobId id, const std::string& name) {
  const auto [at, added] = jobs_.try_emplace(id);
  CHECK(added, "job {} was submitted twice", id.value());
  at->second.id = id;
  newest_by_name_[name] = id;
  return at->second;
}

Job* JobTable::Find(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

const Job* JobTable::Find(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

const Job* JobTable::FindByName(const std::string& name) const {
  const auto found = newest_by_name_.find(name);
  return found == newest_by_name_.end() ? nullptr : Find(found->second);
}

void JobTable::Sort(const Job& job) {
  const auto move = [&](std::set<JobId>& set, bool in) {
    if (in)
      set.insert(job.id);
    else
      set.erase(job.id);
  };
  const bool live = job.LiveAttempt() != nullptr;
  move(active_, live);
  move(queued_, !live && !job.ended() && !job.suspended);
  move(suspended_, !live && !job.ended() && job.suspended);
  if (job.end_state == v1::JOB_STATE_SUCCEEDED) succeeded_.insert(job.id);
  if (job.end_state == v1::JOB_STATE_FAILED) failed_.insert(job.id);
  if (job.end_state == v1::JOB_STATE_CANCELLED) cancelled_.insert(job.id);
}

const std::set<JobId>* JobTable::SetWith(v1::JobState state) const {
  switch (state) {
    case v1::JOB_STATE_QUEUED:
      return &queued_;
    case v1::JOB_STATE_STARTING:
    case v1::JOB_STATE_RUNNING:
    case v1::JOB_STATE_STOPPING:
      return &active_;
    case v1::JOB_STATE_SUSPENDED:
      return &suspended_;
    case v1::JOB_STATE_SUCCEEDED:
      return &succeeded_;
    case v1::JOB_STATE_FAILED:
      return &failed_;
    case v1::JOB_STATE_CANCELLED:
      return &cancelled_;
    case v1::JOB_STATE_UNSPECIFIED:
    case v1::JobState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::JobState_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return nullptr;
}

absl::Duration Backoff(uint32_t fruitless) {
  if (fruitless < 2) return absl::ZeroDuration();
  return std::min(absl::Seconds(1 << std::min(fruitless - 2, 5u)), absl::Seconds(30));
}

}  // namespace muster::coordinator::core
