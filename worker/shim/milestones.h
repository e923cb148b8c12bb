// The steps for which somebody waits while an attempt gets going: its first, and the one where the
// attempts before it had stood. Until then rank 0's page is looked at often and what it shows is
// told at once, so that an outage is as long as it was and not as long as the pause between
// reports.
//
// A program that has not said a word for a thousand looks has no page, and costs no more of them.
#pragma once

#include <cstdint>

#include "muster/v1/job.pb.h"

namespace muster::worker::shim {

inline constexpr int64_t kLookEveryMs = 10;
inline constexpr uint32_t kSilentLooksMax = 1000;

class Milestones {
 public:
  // `stood_step`: the most any attempt before finished.
  explicit Milestones(uint64_t stood_step) : stood_step_(stood_step) {}

  // True when the page shows one more of them than before.
  bool Take(const v1::Progress& progress);
  uint32_t reached() const { return reached_; }
  // One is still to come, and somebody may tell of it.
  bool looking() const { return reached_ < 2 && silent_looks_ < kSilentLooksMax; }

 private:
  const uint64_t stood_step_;
  uint32_t reached_ = 0;
  uint32_t silent_looks_ = 0;  // before the first word
};

}  // namespace muster::worker::shim
