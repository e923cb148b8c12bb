#include "coordinator/scheduler/pass.h"

#include <utility>

#include "coordinator/scheduler/one_pass.h"

namespace muster::coordinator::scheduler {

absl::Duration TimeLimitOf(const v1::JobSpec& spec) {
  const auto& limit = spec.schedule().time_limit();
  const absl::Duration duration = absl::Seconds(limit.seconds()) + absl::Nanoseconds(limit.nanos());
  return duration > absl::ZeroDuration() ? duration : absl::InfiniteDuration();
}

Decisions RunPass(const View& view) {
  OnePass pass(view, OnePass::Mode::kDecide, std::nullopt);
  pass.Run();
  return std::move(pass.decisions());
}

Wait ExplainWait(const View& view, JobId job) {
  OnePass pass(view, OnePass::Mode::kExplain, job);
  pass.Run();
  if (pass.focus_wait()) return *pass.focus_wait();
  return {job, "waiting: for the next pass, which starts it", {}, view.now};
}

}  // namespace muster::coordinator::scheduler
