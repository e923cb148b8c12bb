#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/status.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/request_use.h"
#include "spec/validate.h"

namespace muster::coordinator::core {
namespace {

absl::Status CheckQueue(const v1::QueueSpec& spec) {
  if (!spec::CheckJobName(spec.name()).ok()) {
    return InvalidArgument(
        "set queue \"{:.80}\": not a name of a queue; use 1 to 63 of a-z 0-9 -, a letter first, no "
        "- last",
        spec.name());
  }
  if (!std::isfinite(spec.weight()) || spec.weight() <= 0) {
    return InvalidArgument("set queue \"{}\": weight {}; give a number above 0, for example 1",
                           spec.name(), spec.weight());
  }
  if (spec.has_limit() && spec.limit() < spec.quota()) {
    return InvalidArgument(
        "set queue \"{}\": limit {} is below its quota {}; raise the limit or lower the quota",
        spec.name(), spec.limit(), spec.quota());
  }
  return absl::OkStatus();
}

int64_t NowMs(const ClusterState& state) {
  return std::max(absl::ToUnixMillis(state.now), state.record_unix_ms);
}

double WeightedUsage(const ClusterState& state, const Queue& queue) {
  return state.queues.UsageAt(queue, NowMs(state)) / queue.spec.weight();
}

void Save(Turn& turn, const v1::QueueSpec& spec, const std::string& request_id) {
  v1::Record record;
  *record.mutable_queue_set()->mutable_queue() = spec;
  record.mutable_queue_set()->set_request_id(request_id);
  turn.Record(std::move(record));
  PlanIfNeeded(turn);
}

// The views of all queues, in the order they are served.
std::vector<v1::Queue> QueueViews(const ClusterState& state) {
  std::map<std::string, v1::Queue> views;
  double total = 0;
  for (const auto& [name, queue] : state.queues.all()) total += WeightedUsage(state, queue);
  for (const auto& [name, queue] : state.queues.all()) {
    v1::Queue& view = views[name];
    *view.mutable_spec() = queue.spec;
    view.set_slots_used(static_cast<uint32_t>(queue.slots_held));
    view.set_slots_borrowed(static_cast<uint32_t>(
        queue.slots_held - std::min<uint64_t>(queue.slots_held, queue.spec.quota())));
    view.set_usage_slot_hours(state.queues.UsageAt(queue, NowMs(state)) / 3600);
    if (total > 0) view.set_share(WeightedUsage(state, queue) / total);
  }
  for (const JobId id : state.jobs.active()) {
    v1::Queue& view = views[QueueName(state.jobs.Find(id)->spec)];
    view.set_jobs_active(view.jobs_active() + 1);
  }
  std::map<std::string, const Job*> heads;
  for (const JobId id : state.jobs.queued()) {
    const Job& job = *state.jobs.Find(id);
    v1::Queue& view = views[QueueName(job.spec)];
    view.set_jobs_waiting(view.jobs_waiting() + 1);
    const Job*& head = heads[view.spec().name()];
    const bool first = head == nullptr || (HasOwnHold(*head) && !HasOwnHold(job)) ||
                       (HasOwnHold(*head) == HasOwnHold(job) &&
                        job.spec.schedule().priority() > head->spec.schedule().priority());
    if (first) head = &job;
  }
  for (const auto& [name, head] : heads) views[name].set_head_reason(WaitingReason(state, *head));
  std::vector<v1::Queue> sorted;
  for (auto& [name, view] : views) sorted.push_back(std::move(view));
  std::stable_sort(sorted.begin(), sorted.end(), [](const v1::Queue& left, const v1::Queue& right) {
    if (left.spec().priority() != right.spec().priority()) {
      return left.spec().priority() > right.spec().priority();
    }
    return left.share() < right.share();
  });
  return sorted;
}

v1::Queue QueueView(const ClusterState& state, const std::string& name) {
  for (v1::Queue& view : QueueViews(state)) {
    if (view.spec().name() == name) return std::move(view);
  }
  return {};
}

absl::StatusOr<v1::SetQueueResponse> Set(Turn& turn, const v1::SetQueueRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kSetQueue));
  v1::SetQueueResponse response;
  if (earlier != nullptr) {
    *response.mutable_queue() = QueueView(state, earlier->queue);
    return response;
  }
  MUSTER_RETURN_IF_ERROR(CheckQueue(request.queue()));
  if (request.validate_only()) {
    *response.mutable_queue()->mutable_spec() = request.queue();
    return response;
  }
  Save(turn, request.queue(), request.request_id());
  *response.mutable_queue() = QueueView(state, request.queue().name());
  return response;
}

absl::StatusOr<v1::PauseQueueResponse> Pause(Turn& turn, const v1::PauseQueueRequest& request) {
  ClusterState& state = turn.state();
  MUSTER_ASSIGN_OR_RETURN(const RequestUse* earlier,
                          EarlierUse(state, request.request_id(), RequestUse::Call::kSetQueue));
  const std::string name = earlier != nullptr ? earlier->queue : request.name();
  const Queue* queue = state.queues.Find(name);
  if (queue == nullptr) {
    return NotFound("{} queue \"{}\": there is none; there are: {}",
                    request.paused() ? "pause" : "resume", name, state.queues.Names());
  }
  v1::QueueSpec spec = queue->spec;
  spec.set_paused(request.paused());
  spec.set_paused_reason(request.paused() ? request.reason() : "");
  const bool changes =
      spec.paused() != queue->spec.paused() || spec.paused_reason() != queue->spec.paused_reason();
  const bool recorded = changes || !request.request_id().empty();
  if (earlier == nullptr && recorded && !request.validate_only()) {
    Save(turn, spec, request.request_id());
  }
  v1::PauseQueueResponse response;
  *response.mutable_queue() = QueueView(state, name);
  return response;
}

}  // namespace

void OnSetQueue(Turn& turn, const SetQueue& input) {
  turn.Answer(input.token, Set(turn, input.request));
}

void OnPauseQueue(Turn& turn, const PauseQueue& input) {
  turn.Answer(input.token, Pause(turn, input.request));
}

v1::ListQueuesResponse Cluster::ListQueues() const {
  v1::ListQueuesResponse response;
  for (v1::Queue& view : QueueViews(*state_)) *response.add_queues() = std::move(view);
  return response;
}

}  // namespace muster::coordinator::core
