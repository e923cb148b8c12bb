#include "rank/checkpoint/save_cadence.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/duration.h"

namespace muster::rank {

std::string SaveCadence::NextTry(uint64_t step, uint64_t last_step, bool asked) const {
  std::string when;
  if (every_steps_ > 0) {
    when = fmt::format("at step {}", std::min((step / every_steps_ + 1) * every_steps_, last_step));
  }
  const double within = asked && (every_seconds_ == 0 || every_seconds_ > kAgainSeconds)
                            ? kAgainSeconds
                            : every_seconds_;
  if (within > 0) {
    when +=
        fmt::format("{}within {}", when.empty() ? "" : " or ", DurationText(absl::Seconds(within)));
  }
  return "training goes on, next try " + (when.empty() ? "after the last step" : when);
}

}  // namespace muster::rank
