// How much of the steps' time was lost to slow steps.
//
// Of every step, the part beyond 1.5 x the median of the steps so far, this one included (of two in
// the middle, the shorter). So a slow first step is typical until others say otherwise, and is not
// judged again.
#pragma once

#include <functional>
#include <queue>
#include <vector>

namespace muster::trainer::loop {

class Stragglers {
 public:
  static constexpr double kSlow = 1.5;  // x the median

  // A step took so long.
  void Add(double step_seconds);
  double seconds() const { return seconds_; }

 private:
  std::priority_queue<double> shorter_;  // its top is the median
  std::priority_queue<double, std::vector<double>, std::greater<>> longer_;
  double seconds_ = 0;
};

}  // namespace muster::trainer::loop
