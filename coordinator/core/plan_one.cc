// What the scheduler would do with a job that is not there yet.
#include "coordinator/core/dependencies.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/view.h"

namespace muster::coordinator::core {

namespace {

// What would keep it waiting whatever room there is. The queue's pause is left to the scheduler.
std::string HoldOf(const ClusterState& state, const v1::JobSpec& spec) {
  if (spec.schedule().hold()) return "waiting: on hold: as submitted";
  const std::string open = OpenText(state, spec);
  return open.empty() ? "" : "waiting: " + open;
}

}  // namespace

v1::PlanJobResponse PlanOne(const ClusterState& state, const v1::JobSpec& spec,
                            const std::string& user) {
  v1::PlanJobResponse response;
  if (std::string hold = HoldOf(state, spec); !hold.empty()) {
    response.set_reason(std::move(hold));
    return response;
  }
  const JobId id = state.jobs.NextId();
  const scheduler::Shape shape = scheduler::ShapeOf(spec);
  const std::string placement_class = scheduler::PlacementClass(spec);
  PassView built = ViewOf(state);
  const scheduler::WaitingJob* other =
      built.view.waiting.empty() ? nullptr : &built.view.waiting.front();
  scheduler::WaitingJob asked;
  asked.job = id;
  asked.spec = &spec;
  asked.shape = &shape;
  asked.placement_class = &placement_class;
  asked.queue = QueueIndex(built.view, QueueName(spec));
  asked.user = &user;
  if (other != nullptr && other->holds_up_all) {
    asked.hold = other->hold;
    asked.hold_until = other->hold_until;
    asked.holds_up_all = true;
  }
  built.view.waiting.push_back(asked);
  const scheduler::Forecast forecast = scheduler::ForecastStart(built.view, id);

  response.set_fits_now(forecast.start && forecast.at <= state.now);
  response.set_reason(response.fits_now() ? forecast.start->reason : forecast.wait.reason);
  if (forecast.start) {
    response.mutable_shares()->Assign(forecast.start->shares.begin(), forecast.start->shares.end());
    for (const NodeId& spare : forecast.start->spares) response.add_spares(spare.value());
  }
  if (forecast.at < absl::InfiniteFuture()) {
    response.set_start_unix_ms(absl::ToUnixMillis(forecast.at));
  }
  for (const JobId victim : forecast.preempts) response.add_preempts(victim.value());
  response.mutable_unblock()->Assign(forecast.wait.unblock.begin(), forecast.wait.unblock.end());
  return response;
}

}  // namespace muster::coordinator::core
