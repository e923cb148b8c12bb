// The rank's status page: change fields, publish. Does nothing without a worker.
#pragma once

#include "trainer/loop/rank_link.h"
#include "trainer/loop/stragglers.h"

namespace muster::trainer::loop {

class StatusPage {
 public:
  explicit StatusPage(RankLink* link) : link_(link) {}

  muster_rank_status fields = {};
  Stragglers stragglers;
  bool from_memory = false;  // fields.first_step came from RAM slots

  void Publish() {
    if (link_ != nullptr) link_->Publish(fields, stragglers.seconds(), from_memory);
  }
  void Enter(muster_phase phase) {
    fields.phase = phase;
    Publish();
  }

 private:
  RankLink* link_;
};

}  // namespace muster::trainer::loop
