// What queues and users hold during a pass, and what they may still take.
//
// Three bars are hard: the queue's limit, its limit per user, and that the non-preemptible jobs of
// a queue never hold more than its quota while another queue has one. The last keeps quotas
// honest: what is borrowed can always be taken back.
//
// A job is entitled when its queue, with it, stays within its quota; slots that are being vacated
// do not count against it. Of a queue that holds more than its quota, the running jobs are taken
// in turn (non-preemptible ones first, then by priority, then by age); those that fit in the quota
// together are within it, all others borrow. A queue without quota borrows all it uses.
//
// Limits count the slots asked for (ranks × slots per rank).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::scheduler {

bool IsPreemptible(const v1::JobSpec& spec);

class QuotaBook {
 public:
  explicit QuotaBook(const View& view);

  enum class Bar { kNone, kPaused, kQueueLimit, kUserLimit, kNotPreemptible };
  // What keeps the job from starting whatever room there is. Slots promised to earlier jobs count,
  // unless it ends before they are due.
  Bar BarOf(const WaitingJob& job, absl::Time end) const;
  // The bar stays even when queue and user hold nothing.
  bool NeverFits(const WaitingJob& job, Bar bar) const;
  // "queue research holds 96 of its limit of 96 slots"
  std::string BarText(const WaitingJob& job, Bar bar) const;
  // What would lift it: "a limit of 104 slots or more for queue research".
  std::string LiftText(const WaitingJob& job, Bar bar) const;

  bool Entitled(const WaitingJob& job) const;
  // Held, or promised in this pass.
  uint64_t Claimed(uint32_t queue) const {
    return held_[queue] + Pledged(queue, absl::InfiniteFuture(), nullptr, false);
  }
  // Both by index into View::running. Those being stopped do not borrow.
  // `vacating` only grows during a pass.
  const std::vector<bool>& Borrowers(const std::vector<bool>& vacating) const;

  void Started(const WaitingJob& job);
  void Promised(const WaitingJob& job, absl::Time at);  // will start then
  void Vacates(const RunningJob& job);                  // is being stopped from now on

 private:
  struct Pledge {
    const WaitingJob* job;
    absl::Time at;
  };
  const QueueView& queue(const WaitingJob& job) const { return view_.queues[job.queue]; }
  uint64_t UserHeld(const WaitingJob& job) const;
  // Promised to jobs of its queue and due before `end`; of its user, not preemptible ones only.
  uint64_t Pledged(uint32_t queue, absl::Time end, const std::string* user, bool firm) const;

  const View& view_;
  std::vector<uint64_t> held_;      // by queue, vacating ones included
  std::vector<uint64_t> vacating_;  // by queue
  std::vector<uint64_t> firm_;      // by queue, held by non-preemptible jobs
  std::map<std::pair<uint32_t, std::string>, uint64_t> user_held_;
  std::vector<const WaitingJob*> started_;  // in this pass
  std::vector<Pledge> pledges_;
  uint32_t queues_with_quota_ = 0;
  // The last answer, and how many had started and were vacating then.
  mutable std::vector<bool> borrows_;
  mutable std::pair<size_t, int64_t> borrows_when_ = {SIZE_MAX, 0};
};

}  // namespace muster::coordinator::scheduler
