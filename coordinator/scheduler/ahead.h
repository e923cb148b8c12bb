// A copy of the cluster that moves on in virtual time: what passes decide is carried out.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/wait_again.h"

namespace muster::coordinator::scheduler {

class Ahead {
 public:
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;
  explicit Ahead(const View& view) : inventory_(*view.inventory), view_(view) {
    view_.inventory = &inventory_;
  }

  const View& view() const { return view_; }
  void Apply(const Decisions& decisions);
  // All that are being stopped are gone, at once.
  void EndStopping();
  // To the next end, or to `look_again`; false when nothing more will happen.
  bool Advance(absl::Time look_again);

 private:
  using Shares = google::protobuf::RepeatedPtrField<v1::NodeShare>;

  void Start(const scheduler::Start& start);
  void End(const RunningJob& job);
  void EndDue();
  void Hold(uint32_t queue, const std::string& user, int64_t slots);
  std::vector<WaitingJob>::iterator FindWaiting(JobId job);
  std::vector<RunningJob>::iterator FindRunning(JobId job);

  Inventory inventory_;
  View view_;
  std::deque<Shares> shares_;  // of jobs started here
  WaitAgain again_;
};

}  // namespace muster::coordinator::scheduler
