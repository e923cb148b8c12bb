// The jobs, by id: what is recorded about each, and what its ranks say now.
//
//   QUEUED ──placed──▶ STARTING ──▶ RUNNING ──▶ STOPPING ──▶ QUEUED (again) or
//   SUCCEEDED / FAILED / CANCELLED, which are final.
//   QUEUED ◀──resume── SUSPENDED ◀──suspend── any that is not final
//
// The state of a job is that of its newest attempt; only its end and its suspension are facts of
// its own. A suspended job whose attempt still stops is STOPPING.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/ids.h"
#include "coordinator/core/attempt.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/dependencies.h"
#include "coordinator/core/failure_row.h"
#include "coordinator/core/spare_log.h"
#include "coordinator/scheduler/shape.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

struct Job {
  // Durable.
  JobId id;
  std::string uid;
  v1::JobSpec spec;
  scheduler::Shape shape;                        // of the spec
  std::vector<scheduler::ShorterShape> shorter;  // it may go on with after a failure, longest first
  std::string placement_class;                   // of the spec; empty once the job ended
  std::string user;
  int64_t submit_unix_ms = 0;
  int64_t end_unix_ms = 0;
  v1::JobState end_state = v1::JOB_STATE_UNSPECIFIED;  // set when it ended
  std::string end_reason;
  bool cancel_requested = false;
  std::string cancel_reason;
  int64_t cancel_unix_ms = 0;
  bool held = false;  // does not start; what runs goes on
  std::string hold_reason;
  bool suspended = false;  // neither starts nor runs
  std::string suspend_reason;
  bool requeued = false;  // since its last attempt: no claim to the slots of that one
  JobId array_id;         // the first job of its array; JobId() = none
  uint32_t array_index = 0;
  std::vector<After> after;      // in the order of the spec
  uint32_t after_open = 0;       // of those, not yet met
  std::string after_impossible;  // why one can never be met
  std::deque<Attempt> attempts;  // oldest first
  std::vector<NodeId> spares;    // nodes kept for its next replacement
  SpareLog spare_log;            // since when, and how idle they were
  CheckpointLedger checkpoints;
  uint64_t revision = 0;           // of its last durable change
  uint64_t best_step = 0;          // the most any ended attempt finished
  uint64_t committed_step = 0;     // the newest ever committed
  uint32_t fruitless = 0;          // failed attempts in a row without progress
  std::string first_error;         // of the first of those
  FailureRow failure_row;          // what they say together
  bool stepped_back = false;       // a checkpoint was marked bad since the last attempt
  uint64_t slots_since = 0;        // what older attempts left in memory is not gone on from
  int64_t not_before_unix_ms = 0;  // the next attempt
  std::map<int, v1::SaveTrouble> save_troubles;  // of its live attempt, by kind
  int64_t grown_unix_ms = 0;                     // when it was last stopped to take more room
  // Said again.
  v1::Progress progress;
  // What the last pass told, if it did.
  std::string waiting;
  bool waits_for_room = false;  // since its last attempt; not only for a time to come
  absl::Time start_estimate = absl::InfiniteFuture();

  bool ended() const { return end_state != v1::JOB_STATE_UNSPECIFIED; }
  v1::JobState State() const;
  // A program that never said that it finished a step: whether it gets on, only time tells.
  bool TellsNoSteps() const { return !spec.has_train() && best_step == 0; }
  void SetSpec(v1::JobSpec chosen);
  void ForgetWait();
  Attempt* LiveAttempt();
  const Attempt* LiveAttempt() const;
  Attempt* FindAttempt(uint64_t number);
};

class JobTable {
 public:
  JobId NextId() const;
  Job& Add(JobId id, const std::string& name);
  Job* Find(JobId id);
  const Job* Find(JobId id) const;
  // The newest of that name; nullptr when there is none.
  const Job* FindByName(const std::string& name) const;
  // Puts the job where its state belongs. After every change of it.
  void Sort(const Job& job);

  // In the order of the ids, which are those of jobs. Neighbours cost nothing to find.
  template <typename Visit>
  void ForEach(const std::set<JobId>& ids, Visit visit) const {
    auto at = jobs_.end();
    for (const JobId id : ids) {
      if (at == jobs_.end() || ++at == jobs_.end() || at->first != id) at = jobs_.find(id);
      visit(at->second);
    }
  }

  std::map<JobId, Job>& all() { return jobs_; }
  const std::map<JobId, Job>& all() const { return jobs_; }
  // Neither ended, suspended, nor with a live attempt; first job first.
  const std::set<JobId>& queued() const { return queued_; }
  const std::set<JobId>& active() const { return active_; }  // with a live attempt
  // All jobs in the state are in it, though not they alone: STARTING, RUNNING and STOPPING share
  // one. nullptr: no job is ever in it.
  const std::set<JobId>* SetWith(v1::JobState state) const;

 private:
  std::map<JobId, Job> jobs_;
  std::map<std::string, JobId> newest_by_name_;
  std::set<JobId> queued_;
  std::set<JobId> active_;
  std::set<JobId> suspended_;
  // Ended; never left again.
  std::set<JobId> succeeded_;
  std::set<JobId> failed_;
  std::set<JobId> cancelled_;
};

// How long after `fruitless` failures in a row the next attempt waits.
absl::Duration Backoff(uint32_t fruitless);

}  // namespace muster::coordinator::core
