// Who must give way for a job that does not fit.
//
// May be taken, by right:
//   priority  preemptible jobs of lower priority in its own queue.
//   reclaim   when it is entitled: preemptible jobs of other queues that borrow, whatever their
//             priorities.
//   queue     preemptible jobs that borrow, of queues of strictly lower priority.
//   spare     preemptible jobs on its own hot spares.
// Least work lost per slot goes first, which is the time since the last commit. Victims that turn
// out not to be needed are spared. Nobody is taken unless the job then fits entirely, and gets the
// slots: jobs before it in the order that wait for room could claim them first. That is asked
// twice, with all others still there and with those gone that must end by then. What ends early in
// between can still make it vain, seldom.
//
// Why it never loops: a victim stands behind the job it went for. By priority and by queue that is
// the order itself. A borrower never is entitled when it waits again: it did not fit in its queue's
// quota beside those that run on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/scheduler/future.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/quota.h"

namespace muster::coordinator::scheduler {

enum class Right { kNone, kPriority, kReclaim, kQueue, kSpare };

struct Victim {
  size_t running = 0;  // index into View::running
  Right right = Right::kNone;
};

struct Vacated {
  std::vector<Victim> victims;  // by job id
  Future::Fit fit;              // where the job then goes
};

// `entitled`: the job is (WaitingOrder::entitled). `so_far`: what this pass decided before;
// those it stopped others for must start, too. Null: whether the job
// gets the slots is not asked. `vacating`: by index into View::running. A
// vacating job is no victim, its slots count as given back. In `future` the victims vacate, too.
// nullopt when no choice of victims lets the job start.
std::optional<Vacated> ChooseVictims(const View& view, const WaitingJob& job, const Gang& gang,
                                     bool entitled, const Decisions* so_far, const QuotaBook& quota,
                                     const std::vector<bool>& vacating, Future& future);

// "preempted by job 7 (priority 10 over 0); loses 12 s × 8 slots"
std::string PreemptionText(const View& view, const WaitingJob& job, const Victim& victim);

// When a job stopped now for another is gone at the latest.
absl::Time GoneBy(const View& view, const RunningJob& victim, JobId for_job);

}  // namespace muster::coordinator::scheduler
