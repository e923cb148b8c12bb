#include <utility>

#include "coordinator/scheduler/ahead.h"
#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::scheduler {

Forecast ForecastStart(const View& view, JobId job) {
  Forecast forecast;
  forecast.wait.job = job;
  Ahead ahead(view);
  for (uint32_t pass = 0; pass < view.options.forecast_passes; ++pass) {
    Decisions decisions = RunPass(ahead.view());
    for (scheduler::Start& start : decisions.starts) {
      if (start.job != job) continue;
      forecast.start = std::move(start);
      forecast.at = ahead.view().now;
      break;
    }
    for (const Preemption& preemption : decisions.preemptions) {
      if (preemption.for_job == job) forecast.preempts.push_back(preemption.victim);
    }
    if (pass == 0 && !forecast.start) forecast.wait = ExplainWait(view, job);
    if (forecast.start) break;
    ahead.Apply(decisions);
    // As the core does: what was started or stopped leads to another look at once.
    if (!decisions.starts.empty() || !decisions.preemptions.empty()) continue;
    if (!ahead.Advance(decisions.look_again)) break;
  }
  return forecast;
}

}  // namespace muster::coordinator::scheduler
