#include "coordinator/scheduler/preemption.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/duration.h"
#include "coordinator/scheduler/ahead.h"
#include "coordinator/scheduler/one_pass.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr size_t kTrials = 64;  // victims looked at one by one for whether they are needed

bool OnSpareOf(const View& view, JobId owner, const RunningJob& running) {
  return std::any_of(running.shares->begin(), running.shares->end(), [&](const auto& share) {
    const NodeIndex node = view.inventory->Find(NodeId(share.node()));
    return node != Inventory::kNone && view.inventory->spare_for(node) == owner;
  });
}

bool OnOwnSpare(const View& view, const WaitingJob& job, const RunningJob& running) {
  if (job.shape->spares == 0 && job.shape->spare_share <= 0) return false;
  return OnSpareOf(view, job.job, running);
}

Right RightOver(const View& view, const WaitingJob& job, const RunningJob& running, bool borrows,
                bool entitled) {
  if (!IsPreemptible(*running.spec)) return Right::kNone;
  if (job.queue == running.queue) {
    if (job.spec->schedule().priority() > running.spec->schedule().priority()) {
      return Right::kPriority;
    }
  } else if (borrows) {
    if (entitled) return Right::kReclaim;
    if (view.queues[job.queue].spec->priority() > view.queues[running.queue].spec->priority()) {
      return Right::kQueue;
    }
  }
  return OnOwnSpare(view, job, running) ? Right::kSpare : Right::kNone;
}

// Those whose slots the job then gets; the others need not go.
std::vector<Victim> Touched(const std::vector<Victim>& victims, const Future::Fit& fit) {
  std::vector<Victim> touched;
  for (const Victim& victim : victims) {
    if (std::any_of(fit.after.begin(), fit.after.end(), [&](const Future::Ending& ending) {
          return ending.running == victim.running;
        })) {
      touched.push_back(victim);
    }
  }
  return touched;
}

// Does a pass start these jobs, once the stopping ones are gone? Whether or not all others have
// ended that must have by then: what they leave could put jobs before these ones. The last in the
// order comes last. `so_far`: what this pass decided before.
bool StartWithout(const View& view, const Decisions& so_far, const std::vector<JobId>& jobs,
                  const std::vector<Victim>& victims) {
  Ahead ahead(view);
  ahead.Apply(so_far);
  Decisions more;
  for (const Victim& victim : victims) {
    more.preemptions.push_back({view.running[victim.running].job, jobs.back(), ""});
  }
  ahead.Apply(more);
  absl::Time gone = view.now;
  for (const RunningJob& job : ahead.view().running) {
    if (job.stopping) gone = std::max(gone, job.ends_by);
  }
  ahead.EndStopping();
  if (!StartInOnePass(ahead.view(), jobs)) return false;
  if (gone == absl::InfiniteFuture() || ahead.next_end() > gone) return true;
  while (ahead.next_end() <= gone) ahead.EndNext();
  ahead.MoveTo(gone);
  return StartInOnePass(ahead.view(), jobs);
}

}  // namespace

std::optional<Vacated> ChooseVictims(const View& view, const WaitingJob& job, const Gang& gang,
                                     bool entitled, const Decisions* so_far, const QuotaBook& quota,
                                     const std::vector<bool>& vacating, Future& future) {
  const std::vector<bool>& borrows = quota.Borrowers(vacating);
  std::vector<size_t> leaving;
  std::vector<Victim> candidates;
  uint64_t slots = future.free_now();
  for (size_t i = 0; i < view.running.size(); ++i) {
    if (vacating[i]) {
      leaving.push_back(i);
      slots += view.running[i].slots;
      continue;
    }
    const Right right = RightOver(view, job, view.running[i], borrows[i], entitled);
    if (right == Right::kNone) continue;
    candidates.push_back({i, right});
    slots += view.running[i].slots;
  }
  if (candidates.empty() || slots < job.shape->slots()) return std::nullopt;
  std::sort(candidates.begin(), candidates.end(), [&](const Victim& a, const Victim& b) {
    const auto key = [&](const Victim& victim) {
      const RunningJob& running = view.running[victim.running];
      // The newest commit loses least; then the lower priority, then the younger job.
      return std::tuple(-absl::ToUnixMillis(running.committed_at),
                        running.spec->schedule().priority(), -int64_t(running.job.value()));
    };
    return key(a) < key(b);
  });
  const auto fit = [&](const std::vector<Victim>& victims) {
    std::vector<size_t> gone = leaving;
    for (const Victim& victim : victims) gone.push_back(victim.running);
    return future.Without(gang, gone);
  };
  const auto first = [&](size_t count) {
    return std::vector<Victim>(candidates.begin(),
                               candidates.begin() + static_cast<std::ptrdiff_t>(count));
  };
  // The shortest run of candidates, least loss first, after which the job fits.
  size_t low = 1, high = candidates.size();
  std::optional<Future::Fit> best = fit(candidates);
  if (!best) return std::nullopt;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (std::optional<Future::Fit> fewer = fit(first(middle))) {
      best = std::move(fewer);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  std::vector<Victim> victims = Touched(first(high), *best);
  // From the greatest loss on: does it fit without this one?
  for (size_t i = victims.size(), trials = 0; i-- > 0 && trials < kTrials; ++trials) {
    std::vector<Victim> fewer = victims;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    std::optional<Future::Fit> other = fit(fewer);
    if (!other) continue;
    best = std::move(other);
    victims = Touched(fewer, *best);
    i = std::min(i, victims.size());
  }
  if (victims.empty()) return std::nullopt;  // it fits on what is being vacated
  std::sort(victims.begin(), victims.end(),
            [](const Victim& a, const Victim& b) { return a.running < b.running; });
  if (so_far != nullptr) {
    std::vector<JobId> all;
    for (const Preemption& preemption : so_far->preemptions) all.push_back(preemption.for_job);
    all.push_back(job.job);
    if (!StartWithout(view, *so_far, all, victims)) return std::nullopt;
  }
  for (const Victim& victim : victims) {
    future.Vacates(victim.running, GoneBy(view, view.running[victim.running], job.job));
  }
  best = fit(victims);  // again, for when that will be
  return Vacated{std::move(victims), std::move(*best)};
}

std::string PreemptionText(const View& view, const WaitingJob& job, const Victim& victim) {
  const RunningJob& running = view.running[victim.running];
  std::string why;
  switch (victim.right) {
    case Right::kPriority:
      why = fmt::format("priority {} over {}", job.spec->schedule().priority(),
                        running.spec->schedule().priority());
      break;
    case Right::kReclaim:
      why = fmt::format("queue {} takes back {} slots of its quota",
                        view.queues[job.queue].spec->name(), job.shape->slots());
      break;
    case Right::kQueue:
      why = fmt::format(
          "queue {} of priority {} over queue {} of {}", view.queues[job.queue].spec->name(),
          view.queues[job.queue].spec->priority(), view.queues[running.queue].spec->name(),
          view.queues[running.queue].spec->priority());
      break;
    case Right::kSpare:
      why = "it needs its hot spare";
      break;
    case Right::kNone:
      break;
  }
  const std::string loss =
      running.committed_at == absl::InfinitePast()
          ? ""
          : fmt::format(
                "; loses {} × {} slot{}",
                DurationText(std::max(absl::ZeroDuration(), view.now - running.committed_at)),
                running.slots, running.slots == 1 ? "" : "s");
  return fmt::format("preempted by job {} ({}){}", job.job.value(), why, loss);
}

absl::Time GoneBy(const View& view, const RunningJob& victim, JobId for_job) {
  const v1::ScheduleSpec& schedule = victim.spec->schedule();
  absl::Duration grace = view.options.preempt_grace;
  if (schedule.has_preempt_grace()) {
    grace = absl::Seconds(schedule.preempt_grace().seconds()) +
            absl::Nanoseconds(schedule.preempt_grace().nanos());
  }
  if (view.inventory->has_lent() && OnSpareOf(view, for_job, victim)) {
    grace = std::min(grace, view.options.recall_grace);
  }
  return view.now + grace;
}

}  // namespace muster::coordinator::scheduler
