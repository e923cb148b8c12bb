#include "coordinator/core/advice.h"

#include <algorithm>

namespace muster::coordinator::core {
namespace {

struct Measured {
  uint64_t steps = 0;
  uint64_t saves = 0;
  double step_seconds = 0;
  double save_seconds = 0;
};

void Add(uint64_t first, uint64_t last, double productive, double saving, uint64_t every,
         Measured& sum) {
  if (last <= first) return;
  sum.steps += last - first;
  sum.saves += last / every - first / every;
  sum.step_seconds += productive;
  sum.save_seconds += saving;
}

}  // namespace

FailureRate RateNow(const ClusterState& state) {
  FailureRate rate = state.failure_rate;
  rate.Advance(absl::ToUnixMillis(state.now), state.nodes_up);
  return rate;
}

std::optional<v1::CheckpointAdvice> AdviceFor(const ClusterState& state, const Job& job) {
  const uint64_t every = job.spec.checkpoint().every_steps();
  if (every == 0 || job.attempts.empty()) return std::nullopt;
  if (job.spec.checkpoint().has_every()) return std::nullopt;  // how many saves, nobody counted
  Measured sum;
  for (const Attempt& attempt : job.attempts) {
    const v1::Attempt& facts = attempt.facts;
    const v1::Progress& progress = attempt.progress;
    if (attempt.live()) {
      Add(progress.first_step(), progress.step(), progress.productive_seconds(),
          progress.checkpoint_seconds(), every, sum);
    } else {
      Add(facts.first_step(), facts.last_step(), facts.productive_seconds(),
          facts.checkpoint_seconds(), every, sum);
    }
  }
  if (sum.saves == 0 || sum.step_seconds <= 0 || sum.save_seconds <= 0) return std::nullopt;
  v1::CheckpointAdvice advice;
  advice.set_every_steps(every);
  advice.set_step_seconds(sum.step_seconds / static_cast<double>(sum.steps));
  advice.set_save_seconds(sum.save_seconds / static_cast<double>(sum.saves));
  const auto nodes = static_cast<uint64_t>(job.attempts.back().facts.shares_size());
  advice.set_mtbf_seconds(RateNow(state).MtbfSeconds(nodes));
  advice.set_recommended_steps(
      BestIntervalSteps(advice.save_seconds(), advice.mtbf_seconds(), advice.step_seconds()));
  return advice;
}

}  // namespace muster::coordinator::core
