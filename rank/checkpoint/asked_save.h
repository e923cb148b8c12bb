// The save that people asked for: begun once for each order, and again when it did not reach
// storage.
//
// Orders that come while one is open are one. The same on every rank, as it goes by the step report
// alone.
//
// Pure. Threads: one.
#pragma once

#include <cstdint>

namespace muster::rank {

class AskedSave {
 public:
  // Of the step report: how many orders there were. It never goes back.
  void Take(uint64_t orders) { orders_ = orders; }

  // Nothing was begun for the newest order.
  bool Due() const { return orders_ > begun_; }

  // A save that begins now is the one asked for.
  bool Open() const { return Due() || again_; }

  void NoteBegun(uint64_t step) {
    if (Open()) step_ = step;
    begun_ = orders_;
    again_ = false;
  }

  // True once, when the save of `failed` was the one asked for: it has to be tried again.
  bool TakeFailure(uint64_t failed) {
    if (step_ == 0 || failed != step_) return false;
    step_ = 0;
    again_ = true;
    return true;
  }

 private:
  uint64_t orders_ = 0;
  uint64_t begun_ = 0;  // of those, that a save was begun for
  uint64_t step_ = 0;   // of that save; 0 = none
  bool again_ = false;
};

}  // namespace muster::rank
