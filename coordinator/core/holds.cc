#include "coordinator/core/holds.h"

#include <fmt/format.h>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

std::string WithReason(const std::string& text, const std::string& reason) {
  return reason.empty() ? text : text + ": " + reason;
}

std::string ArrayText(const Job& job, const Array& array) {
  const size_t running = array.active.size();
  const size_t next = array.at_once - std::min<size_t>(array.at_once, running);
  std::string text =
      fmt::format("waiting: {} job{} of array {} run{}", running, running == 1 ? "" : "s",
                  job.array_id.value(), running == 1 ? "s" : "");
  if (next > 0) text += fmt::format(" and {} go{} first", next, next == 1 ? "es" : "");
  return text + (next > 0 ? fmt::format(", its limit is {}", array.at_once) : ", its limit");
}

}  // namespace

bool HasOwnHold(const Job& job) { return job.suspended || job.held || job.after_open > 0; }

std::string HoldReason(const ClusterState& state, const Job& job) {
  if (job.suspended) return WithReason("waiting: suspended", job.suspend_reason);
  if (job.held) return WithReason("waiting: on hold", job.hold_reason);
  if (job.after_open > 0) return "waiting: " + OpenText(state, job);
  const Queue* queue = state.queues.Find(QueueName(job.spec));
  CHECK(queue != nullptr, "job {} waits in queue {}, which was never set", job.id.value(),
        QueueName(job.spec));
  if (queue->spec.paused()) {
    return WithReason(fmt::format("waiting: queue {} is paused", queue->spec.name()),
                      queue->spec.paused_reason());
  }
  if (state.arrays.Barred(job)) return ArrayText(job, *state.arrays.Find(job.array_id));
  return "";
}

}  // namespace muster::coordinator::core
