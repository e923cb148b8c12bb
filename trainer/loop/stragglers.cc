#include "trainer/loop/stragglers.h"

#include <algorithm>

namespace muster::trainer::loop {

void Stragglers::Add(double step_seconds) {
  shorter_.push(step_seconds);
  longer_.push(shorter_.top());
  shorter_.pop();
  if (longer_.size() > shorter_.size()) {
    shorter_.push(longer_.top());
    longer_.pop();
  }
  seconds_ += std::max(0.0, step_seconds - kSlow * shorter_.top());
}

}  // namespace muster::trainer::loop
