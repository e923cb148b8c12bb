// What the scheduler would do with a job that is not there yet.
#include <fmt/format.h>

#include <algorithm>

#include "common/duration.h"
#include "coordinator/core/advice.h"
#include "coordinator/core/dependencies.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/view.h"

namespace muster::coordinator::core {

namespace {

// The job as it would wait, and the others of its array behind it.
class Asked {
 public:
  Asked(const ClusterState& state, const v1::JobSpec& spec, const std::string& user)
      : state_(state),
        spec_(spec),
        user_(user),
        shape_(scheduler::ShapeOf(spec)),
        class_(scheduler::PlacementClass(spec)) {}

  // What it points to lives here.
  void AddTo(scheduler::View& view) const {
    const JobId first = state_.jobs.NextId();
    const scheduler::WaitingJob* other = view.waiting.empty() ? nullptr : &view.waiting.front();
    scheduler::WaitingJob job;
    job.spec = &spec_;
    job.shape = &shape_;
    job.placement_class = &class_;
    job.queue = QueueIndex(view, QueueName(spec_));
    job.user = &user_;
    if (spec_.schedule().has_array()) job.array = LimitedArray(spec_, first);
    if (other != nullptr && other->holds_up_all) {
      job.hold = other->hold;
      job.hold_until = other->hold_until;
      job.holds_up_all = true;
    }
    std::vector<scheduler::LaterJob::After> after;
    for (const After& open : OpenAfter(state_, spec_)) after.push_back({open.job, open.when});
    const uint32_t count = std::max(1u, spec_.schedule().array().count());
    const uint32_t at_once = spec_.schedule().array().at_once();
    for (uint32_t i = 0; i < count; ++i) {
      job.job = JobId(first.value() + i);
      if (!after.empty() || (at_once > 0 && i >= at_once)) {
        view.later.push_back({job, after});
      } else {
        view.waiting.push_back(job);
      }
    }
  }

 private:
  const ClusterState& state_;
  const v1::JobSpec& spec_;
  const std::string& user_;
  const scheduler::Shape shape_;
  const std::string class_;
};

// Why it waits, and for how long at least when that is all there is to say.
std::string WaitText(const scheduler::Forecast& forecast, const std::string& open, absl::Time now) {
  std::string text = open.empty() ? forecast.wait.reason : "waiting: " + open;
  if (forecast.gave_up) {
    text += fmt::format("; not within {}, which is as far as a plan looks ({} starts and ends)",
                        DurationText(forecast.looked_until - now), forecast.events);
  }
  return text;
}

}  // namespace

v1::PlanJobResponse PlanOne(const ClusterState& state, const v1::JobSpec& spec,
                            const std::string& user) {
  v1::PlanJobResponse response;
  if (spec.schedule().hold()) {
    response.set_reason("waiting: on hold: as submitted");
    return response;
  }
  const Asked asked(state, spec, user);
  PassView built = ForecastViewOf(state);
  asked.AddTo(built.view);
  const scheduler::Forecast forecast = scheduler::ForecastStart(built.view, state.jobs.NextId());

  response.set_fits_now(forecast.start && forecast.at_once);
  response.set_reason(response.fits_now() ? forecast.start->reason
                                          : WaitText(forecast, OpenText(state, spec), state.now));
  if (forecast.start) {
    response.mutable_shares()->Assign(forecast.start->shares.begin(), forecast.start->shares.end());
    for (const NodeId& spare : forecast.start->spares) response.add_spares(spare.value());
    const FailureRate rate = RateNow(state);
    const uint64_t nodes = forecast.start->shares.size();
    response.set_mtbf_seconds(rate.MtbfSeconds(nodes));
    response.set_recommended_spares(SparesFor(nodes, rate.PerNodeHour(), kRepairHours));
  }
  if (forecast.at < absl::InfiniteFuture()) {
    response.set_start_unix_ms(absl::ToUnixMillis(forecast.at));
  }
  for (const JobId victim : forecast.preempts) response.add_preempts(victim.value());
  response.mutable_unblock()->Assign(forecast.wait.unblock.begin(), forecast.wait.unblock.end());
  return response;
}

}  // namespace muster::coordinator::core
