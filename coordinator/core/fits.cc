#include "coordinator/core/fits.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "spec/mesh.h"

namespace muster::coordinator::core {
namespace {

// Empty, or what the queue can never give.
std::string WhyNeverInQueue(const Queue& queue, const v1::JobSpec& spec) {
  const uint64_t per_rank = std::max(1u, spec.resources().slots_per_rank());
  const uint64_t slots = spec::RankCount(spec) * per_rank;
  const auto text = [&](const std::string& who, uint32_t most) {
    return fmt::format(
        "needs {} slots, {} in queue {} may hold at most {}; lower an axis of the mesh or choose "
        "another queue",
        slots, who, queue.spec.name(), most);
  };
  if (queue.spec.has_limit() && slots > queue.spec.limit()) {
    return text("all jobs together", queue.spec.limit());
  }
  if (queue.spec.has_user_limit() && slots > queue.spec.user_limit()) {
    return text("one user's jobs", queue.spec.user_limit());
  }
  return "";
}

}  // namespace

absl::Status CheckFits(const ClusterState& state, const std::string& doing,
                       const v1::JobSpec& spec) {
  const Queue* queue = state.queues.Find(QueueName(spec));
  if (queue == nullptr) {
    return NotFound(
        "{}: there is no queue \"{}\"; there are: {}; create it with `muster queue set`", doing,
        QueueName(spec), state.queues.Names());
  }
  std::string never = WhyNeverFitsHere(state, spec);
  if (never.empty()) never = WhyNeverInQueue(*queue, spec);
  if (never.empty()) return absl::OkStatus();
  return ResourceExhausted("{}: {}", doing, never);
}

}  // namespace muster::coordinator::core
