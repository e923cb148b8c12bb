// One pass of the scheduler: who starts where, who must give way, and why the others wait.
//
// Order of the waiting jobs: those that recover from a failure first (their slots are still
// theirs); then by queue priority, queue share (decayed use ÷ weight, smallest first), job priority
// within the queue, age.
//
// The rules, each with its reason for waiting:
//   gang        all ranks or none.
//   quota       a queue never holds more than its limit, a user never more than the queue's
//               user_limit; beyond the quota a queue borrows, and only while nobody entitled waits
//               for the same slots.
//   backfill    the first `reserved_heads` jobs that do not fit get a promise: slots and the time
//               these come free, from the time limits of those that hold them. A later job may
//               start only where it disturbs no promise: on other slots, or (with a time limit)
//               ended before. Where the end of a holder is not known, the slots stay reserved.
//   preemption  a job may take slots from (a) preemptible jobs of lower priority in its own queue;
//               (b) when it fits in its queue's quota: jobs of queues beyond their quota; (c)
//               preemptible jobs of a queue of lower priority that are borrowing. Only when that
//               lets it start. Victims: the least work lost, (now − last commit) × slots. Slots
//               that are already being vacated are waited for, never preempted twice. The relation
//               is strict, so no chain of preemptions closes.
//   spares      idle hot spares are used by their owner, or lent to preemptible jobs.
//   shrink      one that recovers and finds no room for all goes on with a shorter data axis, the
//               longest there is room for, when it may; it is never stopped for that.
//   grow        such a job takes what nobody else wants, when all others had their turn: it is
//               stopped, saves, and is placed anew. Nobody is preempted for it, no promise touched.
//
// Pure: no clock, no random. Same view, same decisions. Cost: no work per job of a placement class
// that already failed in this pass.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/shape.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/queue.pb.h"

namespace muster::coordinator::scheduler {

// A queue and what it holds now.
struct QueueView {
  const v1::QueueSpec* spec = nullptr;
  double usage = 0;         // decayed slot-seconds, as of View::now
  uint64_t slots_held = 0;  // by its live attempts, those being stopped included
};

// What a user's jobs hold in one queue.
struct UserView {
  uint32_t queue = 0;
  std::string user;
  uint64_t slots_held = 0;
};

// A waiting job. Pointers outlive the pass.
struct WaitingJob {
  JobId job;
  const v1::JobSpec* spec = nullptr;
  const Shape* shape = nullptr;  // kept by the core, computed once
  const std::string* placement_class = nullptr;
  uint32_t queue = 0;  // index into View::queues
  const std::string* user = nullptr;
  bool recovering = false;  // its last attempt failed; its slots are still its own
  const google::protobuf::RepeatedPtrField<v1::NodeShare>* previous = nullptr;  // may be null
  uint64_t previous_attempt = 0;
  // What it may go on with when `recovering` and there is no room for all, longest first; may be
  // null.
  const std::vector<ShorterShape>* shorter = nullptr;
  const std::vector<NodeId>* avoid = nullptr;  // rather not on these; may be null
  const std::string* hold = nullptr;  // non-empty: must not start, and why; holds up nobody
  absl::Time hold_until = absl::InfiniteFuture();  // when the hold ends by itself
  bool holds_up_all = false;  // with `hold`: nobody may start (after a restart)
  JobId array;                // whose jobs share a limit (spec: schedule.array.at_once), if any
};

// A job with a live attempt.
struct RunningJob {
  JobId job;
  const v1::JobSpec* spec = nullptr;
  uint32_t queue = 0;
  const std::string* user = nullptr;
  const google::protobuf::RepeatedPtrField<v1::NodeShare>* shares = nullptr;
  uint64_t slots = 0;
  bool stopping = false;
  absl::Time ends_by = absl::InfiniteFuture();  // time limit, or the end of the grace it stops in
  absl::Time committed_at = absl::InfinitePast();  // its newest work that is safe; start if none
  // One that runs with a shorter data axis than it asked for:
  const Shape* shape = nullptr;  // that it asked for
  const std::vector<ShorterShape>* shorter =
      nullptr;  // what it may run with otherwise; may be null
  absl::Time grow_at =
      absl::InfiniteFuture();  // when it may be stopped to take more; infinite: not
  // Only forecasts ask for the rest.
  // What it does once it is stopped: ends, is kept until a person says otherwise, waits again
  // (preempted), waits as if it had never run (requeued), or waits as one that recovers.
  enum class Then { kEnds, kIsKept, kWaits, kWaitsAfresh, kRecovers } then = Then::kEnds;
  v1::JobState ends_as = v1::JOB_STATE_SUCCEEDED;
  absl::Duration backoff;  // before it may start again
  JobId array;             // as of WaitingJob
};

// A job that waits for others before it counts as waiting. Only forecasts ask.
struct LaterJob {
  struct After {
    JobId job;
    v1::AfterEvent when = v1::AFTER_EVENT_SUCCEEDED;
  };
  WaitingJob job;
  std::vector<After> after;  // none: its array's limit keeps it
};

struct PassOptions {
  uint32_t reserved_heads = 16;                      // blocked jobs that get a promise
  uint32_t backfill_depth = 1000;                    // jobs looked at behind the first that waits
  absl::Duration preempt_grace = absl::Seconds(30);  // to save, where the victim does not say
  absl::Duration usage_half_life = absl::Hours(24);  // of QueueView::usage
  absl::Duration late_by = absl::Seconds(1);  // one that is not gone when due counts as this late
  // Only forecasts ask for the rest.
  absl::Duration recall_grace = absl::Seconds(3);  // at most, to save on another's hot spare
  size_t pass_at_once = SIZE_MAX;                  // with more jobs, passes keep a distance
  absl::Duration pass_interval;                    // of so much
  uint32_t forecast_events = 2000;      // starts, stops and ends; then a forecast gives up
  uint64_t forecast_work = 20'000'000;  // nodes looked at; the same
};

struct View {
  absl::Time now;
  const Inventory* inventory = nullptr;
  std::vector<QueueView> queues;  // by name; index 0.. referred to above
  std::vector<UserView> users;
  std::vector<WaitingJob> waiting;  // by job id
  std::vector<RunningJob> running;  // by job id
  PassOptions options;
  // Only forecasts ask for the rest.
  std::vector<LaterJob> later;                  // by job id
  size_t others = 0;                            // queued, and nobody knows until when
  absl::Time passed_at = absl::InfinitePast();  // the last pass
};

struct Start {
  JobId job;
  std::vector<v1::NodeShare> shares;
  std::vector<NodeId> spares;
  std::string reason;  // "4 ranks on n1 (0-1), n2 (2-3): same nodes as attempt 1"
  uint32_t data = 0;   // of its data axis, when shorter than it asked for
};

// A job with a shorter data axis is to be stopped and started with a longer one: all that started
// in this pass have their slots, all promises stay, and it fits.
struct Growth {
  JobId job;
  std::string reason;  // "room for data 4 again (2 now)"
};

struct Preemption {
  JobId victim;
  JobId for_job;
  std::string reason;  // "preempted by job 7 (priority 10 over 0); loses 12 s × 8 slots"
};

struct Wait {
  JobId job;
  std::string reason;                                  // "waiting: …", true at View::now
  std::vector<std::string> unblock;                    // of ExplainWait: what would let it start
  absl::Time start_estimate = absl::InfiniteFuture();  // of a promise; infinite = cannot be told
  bool held = false;                                   // not for room: WaitingJob::hold
};

struct Decisions {
  std::vector<Start> starts;  // in order
  std::vector<Preemption> preemptions;
  std::vector<Growth> growths;  // at most one a pass
  std::vector<Wait> waits;      // of the first jobs that wait, with a promise or a hold
  absl::Time look_again = absl::InfiniteFuture();  // a hold ends, or a promise was not kept
};

Decisions RunPass(const View& view);

// How long one attempt may take; infinite when the job does not say.
absl::Duration TimeLimitOf(const v1::JobSpec& spec);

// The reason of any one waiting job, as a pass that stops at it would give it. For `describe`.
Wait ExplainWait(const View& view, JobId job);

// When and where `job` starts, if nothing happens that is not known now: nobody else comes, no
// person intervenes, no node changes, nothing is committed, and every job ends when it must:
//
//   runs        at its time limit, well; never without one
//   stops       when its grace is over; then it ends or waits again, whichever it will
//   waits       for others (LaterJob): as soon as they have started or ended
//
// Passes are run forward in virtual time as the core runs them: by the same code, after every end,
// at the same distances, at one time until one decides nothing more. Of ends at one time the lowest
// job id comes first, each with its own pass.
struct Forecast {
  std::optional<Start> start;
  absl::Time at = absl::InfiniteFuture();
  bool at_once = false;         // nothing else has to happen before
  std::vector<JobId> preempts;  // all that are stopped for it
  Wait wait;                    // when it does not start at once
  uint32_t events = 0;          // starts, stops and ends looked at
  absl::Time looked_until;      // it does not start before
  bool gave_up = false;         // there is more to look at, see PassOptions
};
Forecast ForecastStart(const View& view, JobId job);

}  // namespace muster::coordinator::scheduler
