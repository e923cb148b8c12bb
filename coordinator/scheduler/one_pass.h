// The run of one pass, job by job; RunPass and ExplainWait are two ways to look at it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "coordinator/scheduler/future.h"
#include "coordinator/scheduler/order.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/promises.h"
#include "coordinator/scheduler/quota.h"

namespace muster::coordinator::scheduler {

// Whether a pass starts all these jobs; the last in the order comes last.
bool StartInOnePass(const View& view, const std::vector<JobId>& jobs);

class OnePass {
 public:
  enum class Mode {
    kDecide,
    kExplain,  // ends at the focus and tells why it waits
    kTry,      // the same without words; who is preempted is only guessed
    kSilent,   // kDecide without words
  };
  // The view outlives it.
  OnePass(const View& view, Mode mode, std::optional<JobId> focus);

  // Once.
  void Run();
  Decisions& decisions() { return decisions_; }
  // What it cost: nodes looked at, about.
  uint64_t work() const;
  // Of the focus, when it waits.
  const std::optional<Wait>& focus_wait() const { return focus_wait_; }

 private:
  // What is known of a class of jobs from an earlier one that did not fit.
  struct Failed {
    bool any = false;
    int64_t end_ns = 0;  // jobs that end then or later do not fit
    bool never = false;  // not even when every holder is gone
  };

  void RunHeld(const WaitingJob& holder);
  // False: nothing behind it can start.
  bool Look(const WaitingJob& job);
  std::optional<Placed> PlaceNow(const WaitingJob& job, const Gang& gang,
                                 const Denied& denied) const;
  // With a shorter data axis; false: not even so.
  bool StartShorter(const WaitingJob& job, absl::Time end);
  void Start(const WaitingJob& job, Placed placed, absl::Time end);

  // grow.cc: the first job that gets room for more.
  void Grow();
  bool FitsLonger(const RunningJob& job, const Shape& longer);

  // Bars: limits and quotas.
  void Close(const WaitingJob& job, QuotaBook::Bar bar);
  bool IsClosed(const WaitingJob& job);

  // A job that does not fit: a promise, perhaps with victims.
  void Block(const WaitingJob& job, const Gang& gang, Failed& failed);
  std::optional<Future::Fit> AfterVacating(const Gang& gang);
  std::optional<Future::Fit> AfterPreempting(const WaitingJob& job, const Gang& gang);
  void MakePromise(const WaitingJob& job, const Gang& gang, const Future::Fit& fit);
  void KeepPrevious(const WaitingJob& job);

  // Reasons.
  bool Told(const WaitingJob& job) const;
  void Tell(Wait wait);
  void TellFit(const WaitingJob& job, const Gang& gang, const Future::Fit& fit);
  void TellBehind(const WaitingJob& job, const Gang& gang);
  void TellUnseen();
  std::string WhyNot(const WaitingJob& job, const Gang& gang) const;
  std::string WhyNot(const Gang& gang) const;
  std::vector<std::string> Unblocks(const Gang& gang) const;

  const Inventory& now() const { return inventory_ ? *inventory_ : *view_.inventory; }
  Future& future();

  const View& view_;
  const Mode mode_;
  const std::optional<JobId> focus_;
  Decisions decisions_;
  std::optional<Wait> focus_wait_;
  QuotaBook quota_;
  WaitingOrder order_;
  std::optional<Inventory> inventory_;  // after the first start
  std::vector<Future::Begun> begun_;    // the starts so far
  uint64_t free_slots_ = 0;             // of usable nodes
  Promises promises_;
  std::optional<Future> future_;                          // after the first job that does not fit
  std::vector<bool> vacating_;                            // by index into View::running
  std::map<std::string, Failed, std::less<>> failed_[2];  // not preemptible, preemptible
  // Who waits for a limit, and closes it to those behind: by queue, bar, and user for kUserLimit.
  std::map<std::tuple<uint32_t, QuotaBook::Bar, std::string>, JobId> closed_;
  std::deque<WaitingJob> shortened_;  // as they were started
  uint32_t heads_ = 0;                // jobs with a promise
  uint32_t behind_ = 0;               // jobs that did not fit
  uint64_t placements_ = 0;
  JobId first_blocked_;
};

}  // namespace muster::coordinator::scheduler
