#include "coordinator/core/lease.h"

#include <fmt/format.h>

#include "common/duration.h"

namespace muster::coordinator::core {

Liveness Judge(const Lease& lease, absl::Time now, const Options& options) {
  if (!lease.connected) {
    const bool dead = now >= lease.give_up_at;
    return {dead ? v1::NODE_STATE_DEAD : v1::NODE_STATE_SUSPECT, lease.broken};
  }
  const absl::Duration silence = now - lease.heard;
  if (silence >= options.dead_after) {
    return {v1::NODE_STATE_DEAD, fmt::format("silent for {}", DurationText(options.dead_after))};
  }
  if (silence >= options.suspect_after) return {v1::NODE_STATE_SUSPECT, "silent"};
  return {v1::NODE_STATE_READY, ""};
}

absl::Time NextChange(const Lease& lease, absl::Time now, const Options& options) {
  if (!lease.connected) return now < lease.give_up_at ? lease.give_up_at : absl::InfiniteFuture();
  if (now < lease.heard + options.suspect_after) return lease.heard + options.suspect_after;
  if (now < lease.heard + options.dead_after) return lease.heard + options.dead_after;
  return absl::InfiniteFuture();
}

}  // namespace muster::coordinator::core
