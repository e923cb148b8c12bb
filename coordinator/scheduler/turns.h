// Whose turn it is, in a forecast: jobs that wait for others come into line as these start and end.
//
// A job may have to wait for the start or the end of others, and for the limit of its array: the
// ones of an array that hold slots and those that stand in line never number more than the limit;
// the lowest ids go first. What a job waits for can become impossible; then it ends, too.
//
// Time: none. Owns: copies of the jobs that are not in line.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "common/ids.h"
#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::scheduler {

class Turns {
 public:
  explicit Turns(const View& view);

  // Each may put jobs into `line`, which is by id, or take some out of it.
  void Started(const WaitingJob& job, std::vector<WaitingJob>& line);
  // It holds no slots any more. `again`: it waits again, and is in line already.
  void Stopped(const RunningJob& job, bool again, std::vector<WaitingJob>& line);
  // The job is over. After Stopped.
  void Ended(JobId job, v1::JobState as, std::vector<WaitingJob>& line) { Tell(job, as, line); }
  // Jobs that are not in line and may come.
  size_t absent() const { return absent_.size(); }

 private:
  struct Absent {
    WaitingJob job;
    std::vector<LaterJob::After> after;  // still open
  };
  struct Array {
    uint32_t at_once = 0;
    std::set<JobId> active, ready;  // hold slots; stand in line, or would but for the limit
  };
  void Tell(JobId job, v1::JobState now, std::vector<WaitingJob>& line);
  void Enter(const WaitingJob& job, std::vector<WaitingJob>& line);
  void Sort(Array& array, std::vector<WaitingJob>& line);

  std::map<JobId, Absent> absent_;
  std::map<JobId, std::vector<JobId>> dependents_;
  std::map<JobId, Array> arrays_;
};

// Where the job is in the line, or belongs.
std::vector<WaitingJob>::iterator PlaceInLine(std::vector<WaitingJob>& line, JobId job);

}  // namespace muster::coordinator::scheduler
