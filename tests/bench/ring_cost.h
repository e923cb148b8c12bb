// What it costs to note a collective in the rank's ring.
#pragma once

namespace muster::trainer::collective {

struct RingCost {
  double note_ns = 0;   // begin and done alone
  double plain_ns = 0;  // an all-reduce of 4 floats between two threads
  double noted_ns = 0;  // the same, noted by both
};

// The least of many turns, plain and noted by turns.
RingCost MeasureRing(double seconds);

}  // namespace muster::trainer::collective
