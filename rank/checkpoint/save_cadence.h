// When the state goes to storage: at the steps the job names, when so much time has passed since
// the last such save began, and a while after one that somebody asked for has failed.
//
// Only the clock of rank 0 counts. What it says of the time goes out with the step report, and that
// report decides, so that all ranks save at the same steps.
//
// Pure. Time: seconds of a monotonic clock, given by the caller. Threads: one.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace muster::rank {

class SaveCadence {
 public:
  // 0: never because of steps; never because of time.
  SaveCadence(uint64_t every_steps, double every_seconds)
      : every_steps_(every_steps), every_seconds_(every_seconds) {}

  // Training, or a save, begins: the time runs from here.
  void NoteBegun(double now) {
    begun_ = now;
    again_ = kNever;
  }

  // The save that somebody asked for has failed.
  void NoteAskedFailed(double now) { again_ = now + kAgainSeconds; }

  // For the step report.
  bool TimeIsUp(double now) const {
    return (every_seconds_ > 0 && now - begun_ >= every_seconds_) || now >= again_;
  }

  // After `step`; `time_is_up`: as rank 0 reported in it.
  bool Due(uint64_t step, bool time_is_up) const {
    return time_is_up || (every_steps_ > 0 && step % every_steps_ == 0);
  }

  // When a save of `step` is tried again, should it fail: "training goes on, next try at step 40".
  // `asked`: somebody asked for it.
  std::string NextTry(uint64_t step, uint64_t last_step, bool asked = false) const;

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  static constexpr double kAgainSeconds = 10;

  const uint64_t every_steps_;
  const double every_seconds_;
  double begun_ = 0;
  double again_ = kNever;
};

}  // namespace muster::rank
