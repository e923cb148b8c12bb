#include "coordinator/scheduler/turns.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator::scheduler {
namespace {

enum class Verdict { kOpen, kMet, kNever };

// `now`: RUNNING, when it has just started, or what it ended as.
Verdict Judge(v1::AfterEvent when, v1::JobState now) {
  const bool started = now == v1::JOB_STATE_RUNNING;
  const auto once_ended = [&](bool good) {
    return started ? Verdict::kOpen : good ? Verdict::kMet : Verdict::kNever;
  };
  switch (when) {
    case v1::AFTER_EVENT_STARTED:
      return started ? Verdict::kMet : Verdict::kNever;
    case v1::AFTER_EVENT_ENDED:
      return once_ended(true);
    case v1::AFTER_EVENT_FAILED:
      return once_ended(now == v1::JOB_STATE_FAILED);
    case v1::AFTER_EVENT_SUCCEEDED:
    case v1::AFTER_EVENT_UNSPECIFIED:
    case v1::AfterEvent_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AfterEvent_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return once_ended(now == v1::JOB_STATE_SUCCEEDED);
}

}  // namespace

std::vector<WaitingJob>::iterator PlaceInLine(std::vector<WaitingJob>& line, JobId job) {
  return std::lower_bound(line.begin(), line.end(), job,
                          [](const WaitingJob& waiting, JobId id) { return waiting.job < id; });
}

Turns::Turns(const View& view) {
  for (const LaterJob& later : view.later) {
    absent_.emplace(later.job.job, Absent{later.job, later.after});
    for (const LaterJob::After& after : later.after) {
      dependents_[after.job].push_back(later.job.job);
    }
    if (!later.after.empty() || later.job.array == JobId()) continue;
    arrays_[later.job.array].ready.insert(later.job.job);
    arrays_[later.job.array].at_once = later.job.spec->schedule().array().at_once();
  }
  const auto note = [&](const auto& job, std::set<JobId> Array::*members) {
    if (job.array == JobId()) return;
    (arrays_[job.array].*members).insert(job.job);
    arrays_[job.array].at_once = job.spec->schedule().array().at_once();
  };
  for (const WaitingJob& job : view.waiting) note(job, &Array::ready);
  for (const RunningJob& job : view.running) note(job, &Array::active);
}

void Turns::Started(const WaitingJob& job, std::vector<WaitingJob>& line) {
  if (job.array != JobId()) {
    Array& array = arrays_[job.array];
    array.ready.erase(job.job);
    array.active.insert(job.job);
    Sort(array, line);
  }
  Tell(job.job, v1::JOB_STATE_RUNNING, line);
}

void Turns::Stopped(const RunningJob& job, bool again, std::vector<WaitingJob>& line) {
  if (job.array == JobId()) return;
  Array& array = arrays_[job.array];
  array.active.erase(job.job);
  if (again) array.ready.insert(job.job);
  Sort(array, line);
}

void Turns::Tell(JobId job, v1::JobState now, std::vector<WaitingJob>& line) {
  const auto found = dependents_.find(job);
  if (found == dependents_.end()) return;
  const std::vector<JobId> dependents = found->second;
  if (now != v1::JOB_STATE_RUNNING) dependents_.erase(found);
  for (const JobId id : dependents) {
    const auto dependent = absent_.find(id);
    if (dependent == absent_.end()) continue;
    std::vector<LaterJob::After>& after = dependent->second.after;
    bool never = false;
    std::erase_if(after, [&](const LaterJob::After& one) {
      const Verdict verdict = one.job == job ? Judge(one.when, now) : Verdict::kOpen;
      never = never || verdict == Verdict::kNever;
      return verdict == Verdict::kMet;
    });
    if (!never && !after.empty()) continue;
    const WaitingJob freed = dependent->second.job;
    absent_.erase(dependent);
    if (never) {
      Tell(id, v1::JOB_STATE_CANCELLED, line);
    } else {
      Enter(freed, line);
    }
  }
}

void Turns::Enter(const WaitingJob& job, std::vector<WaitingJob>& line) {
  line.insert(PlaceInLine(line, job.job), job);
  if (job.array == JobId()) return;
  Array& array = arrays_[job.array];
  array.at_once = job.spec->schedule().array().at_once();
  array.ready.insert(job.job);
  Sort(array, line);
}

void Turns::Sort(Array& array, std::vector<WaitingJob>& line) {
  size_t room = array.at_once - std::min<size_t>(array.at_once, array.active.size());
  for (const JobId id : array.ready) {
    const auto place = PlaceInLine(line, id);
    const bool stands = place != line.end() && place->job == id;
    const bool may = room > 0;
    if (may) --room;
    if (may && !stands) {
      line.insert(place, absent_.at(id).job);
      absent_.erase(id);
    } else if (!may && stands) {
      absent_.emplace(id, Absent{*place, {}});
      line.erase(place);
    } else if (!may) {
      break;  // nor does any behind it
    }
  }
}

}  // namespace muster::coordinator::scheduler
