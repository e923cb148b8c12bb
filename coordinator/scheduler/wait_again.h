// A running job as it will wait once it has been stopped.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/shape.h"

namespace muster::coordinator::scheduler {

class WaitAgain {
 public:
  // Puts the job into `waiting`, where its id belongs. What the new entry points to lives here.
  void Add(const RunningJob& job, absl::Time now, std::vector<WaitingJob>& waiting);

 private:
  std::deque<Shape> shapes_;
  std::deque<std::string> classes_;
};

}  // namespace muster::coordinator::scheduler
