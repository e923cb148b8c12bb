#include "coordinator/core/queue_limits.h"

#include <fmt/format.h>

#include "spec/mesh.h"

namespace muster::coordinator::core {

std::string WhyNeverInQueue(const Queue& queue, const v1::JobSpec& spec) {
  const uint64_t per_rank = std::max(1u, spec.resources().slots_per_rank());
  const uint64_t slots = spec::RankCount(spec) * per_rank;
  const auto text = [&](const std::string& whose, uint32_t most) {
    return fmt::format(
        "needs {} slots, {} in queue {} may hold at most {}; lower an axis of the mesh or choose "
        "another queue",
        slots, whose, queue.spec.name(), most);
  };
  if (queue.spec.has_limit() && slots > queue.spec.limit()) {
    return text("all jobs together", queue.spec.limit());
  }
  if (queue.spec.has_user_limit() && slots > queue.spec.user_limit()) {
    return text("one user's jobs", queue.spec.user_limit());
  }
  return "";
}

}  // namespace muster::coordinator::core
