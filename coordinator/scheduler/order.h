// The order in which a pass looks at the waiting jobs.
//
// First those that recover: by queue priority, job priority, age. Then always the foremost job of
// one of the queues: entitled ones first (within their queue's quota), then by queue priority, then
// by the smaller share. Inside a queue: job priority, then age; behind a job that is not entitled
// none is. A start counts at once, so queues of equal share take turns within a pass.
//
// Whoever may preempt a job stands before it in this order, so what a victim leaves never goes back
// to it. See preemption.h.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/quota.h"

namespace muster::coordinator::scheduler {

// What decides between queues of equal priority, smallest first: decayed slot-seconds ÷ weight.
// What the queue holds counts a minute ahead.
double ShareOf(const QueueView& queue, uint64_t slots_held);

// `usage` after `elapsed` more, of a queue that held `slots_held` all the time.
double UsageAfter(double usage, uint64_t slots_held, absl::Duration elapsed,
                  absl::Duration half_life);

class WaitingOrder {
 public:
  // Both outlive it; `quota` changes while the pass goes on.
  WaitingOrder(const View& view, const QuotaBook& quota);
  // nullptr: no more.
  const WaitingJob* Next();
  // The one given out last is within its queue's quota, and so are those before it in the queue.
  bool entitled() const { return entitled_; }
  // Gives out no more of that queue, but for those that recover.
  void Drop(uint32_t queue) { heaps_[queue].clear(); }

 private:
  struct Entry {
    int32_t priority;
    uint32_t index;                             // into View::waiting, which is by id
    bool operator<(const Entry& other) const {  // a heap has the largest in front
      return priority != other.priority ? priority < other.priority : index > other.index;
    }
  };
  const WaitingJob& front(size_t queue) const { return view_.waiting[heaps_[queue].front().index]; }

  const View& view_;
  const QuotaBook& quota_;
  std::vector<uint32_t> recovering_;       // in order
  size_t recovered_ = 0;                   // of these, given out
  std::vector<std::vector<Entry>> heaps_;  // by queue
  std::vector<bool> beyond_;               // by queue: one that is not entitled was given out
  bool entitled_ = false;
};

}  // namespace muster::coordinator::scheduler
