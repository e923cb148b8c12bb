#include <algorithm>
#include <utility>

#include "coordinator/scheduler/ahead.h"
#include "coordinator/scheduler/one_pass.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/reasons.h"

namespace muster::coordinator::scheduler {
namespace {

class Forecaster {
 public:
  Forecaster(const View& view, JobId job)
      : options_(view.options), job_(job), ahead_(view), passed_at_(view.passed_at) {}

  Forecast Run() {
    while (MoveToPass()) {
      PassUntilStill();
      if (forecast_.start) break;
      if (forecast_.events >= options_.forecast_events || work_ >= options_.forecast_work) {
        forecast_.gave_up = true;
        break;
      }
    }
    forecast_.looked_until = ahead_.view().now;
    return std::move(forecast_);
  }

 private:
  // When the core makes its next pass; `changed`: something happened since the last one.
  absl::Time Due(bool changed) const {
    if (ahead_.queued() == 0) return absl::InfiniteFuture();
    const absl::Time due = changed ? absl::InfinitePast() : look_again_;
    if (ahead_.jobs() <= options_.pass_at_once) return due;
    return std::max(due, passed_at_ + options_.pass_interval);
  }

  // False: there will be no more.
  bool MoveToPass() {
    for (bool changed = std::exchange(submitted_, false);;) {
      const absl::Time pass = std::max(Due(changed), ahead_.view().now);
      if (changed && pass == ahead_.view().now) return true;
      if (ahead_.next_end() <= pass) {
        if (ahead_.next_end() == absl::InfiniteFuture()) return false;
        ahead_.EndNext();
        changed = true;
        ++forecast_.events;
        happened_ = true;
      } else {
        ahead_.MoveTo(pass);
        return true;
      }
    }
  }

  void PassUntilStill() {
    bool still = false;
    while (!still && ahead_.queued() > 0) {
      OnePass pass(ahead_.view(), OnePass::Mode::kSilent, std::nullopt);
      pass.Run();
      work_ += pass.work();
      const Decisions& decisions = pass.decisions();
      still = decisions.starts.empty() && decisions.preemptions.empty();
      look_again_ = decisions.look_again;
      passed_at_ = ahead_.view().now;
      forecast_.events +=
          static_cast<uint32_t>(1 + decisions.starts.size() + decisions.preemptions.size());
      for (const Preemption& preemption : decisions.preemptions) {
        if (preemption.for_job == job_) forecast_.preempts.push_back(preemption.victim);
      }
      for (const scheduler::Start& start : decisions.starts) {
        if (start.job == job_) return Found(start);
      }
      ahead_.Apply(decisions);
    }
  }

  void Found(const scheduler::Start& start) {
    std::vector<WaitingJob> one;
    for (const WaitingJob& job : ahead_.view().waiting) {
      if (job.job == job_) one.push_back(job);
    }
    forecast_.start = start;
    forecast_.start->reason = StartText(one.front(), start.shares, start.spares);
    forecast_.at = ahead_.view().now;
    forecast_.at_once = !happened_;
  }

  const PassOptions options_;
  const JobId job_;
  Ahead ahead_;
  absl::Time passed_at_, look_again_;
  bool submitted_ = true;  // just now: a reason for a pass
  bool happened_ = false;
  uint64_t work_ = 0;
  Forecast forecast_;
};

}  // namespace

Forecast ForecastStart(const View& view, JobId job) {
  const auto place =
      std::lower_bound(view.waiting.begin(), view.waiting.end(), job,
                       [](const WaitingJob& waiting, JobId id) { return waiting.job < id; });
  const bool stands = place != view.waiting.end() && place->job == job;
  Forecast forecast;
  if (!stands || !view.queues[place->queue].spec->paused()) forecast = Forecaster(view, job).Run();
  if (stands && !forecast.at_once) forecast.wait = ExplainWait(view, job);
  return forecast;
}

}  // namespace muster::coordinator::scheduler
