// How long calls took: percentiles by nearest rank.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/time/time.h"
#include "common/check.h"

namespace muster::bench {

class Latencies {
 public:
  void Add(absl::Duration took) { took_ms_.push_back(absl::ToDoubleMilliseconds(took)); }
  void Add(const Latencies& other) {
    took_ms_.insert(took_ms_.end(), other.took_ms_.begin(), other.took_ms_.end());
  }

  // `share` in (0, 1].
  double Percentile(double share) {
    CHECK(!took_ms_.empty() && share > 0 && share <= 1, "percentile {} of {} calls", share,
          took_ms_.size());
    std::sort(took_ms_.begin(), took_ms_.end());
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(took_ms_.size())));
    return took_ms_[rank - 1];
  }

 private:
  std::vector<double> took_ms_;
};

}  // namespace muster::bench
