// A copy of the cluster that moves on in virtual time: what passes decide is carried out, and jobs
// end when they must. What is assumed about ends: Forecast, in pass.h.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/turns.h"
#include "coordinator/scheduler/wait_again.h"

namespace muster::coordinator::scheduler {

class Ahead {
 public:
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;
  explicit Ahead(const View& view);

  const View& view() const { return view_; }
  void Apply(const Decisions& decisions);
  // All that are being stopped are gone, at once.
  void EndStopping();
  // Of the next job; infinite when none will end.
  absl::Time next_end() const {
    return agenda_.empty() ? absl::InfiniteFuture() : agenda_.begin()->first;
  }
  // Moves to that time and ends the job: one, though others may end at the same time.
  void EndNext();
  // To a time before the next end.
  void MoveTo(absl::Time then);
  // Jobs that wait for whatever, or hold slots.
  size_t jobs() const { return queued() + view_.running.size(); }
  size_t queued() const { return view_.waiting.size() + turns_.absent() + view_.others; }

 private:
  using Shares = google::protobuf::RepeatedPtrField<v1::NodeShare>;

  void Start(const scheduler::Start& start);
  void End(JobId job);
  void Hold(uint32_t queue, const std::string& user, int64_t slots);
  void MarkLate();
  std::vector<RunningJob>::iterator FindRunning(JobId job);

  Inventory inventory_;
  View view_;
  Turns turns_;
  std::set<std::pair<absl::Time, JobId>> agenda_;  // ends
  size_t holds_ = 0;                               // waiting jobs with one that ends by itself
  std::deque<Shares> shares_;                      // of jobs started here
  WaitAgain again_;
};

}  // namespace muster::coordinator::scheduler
