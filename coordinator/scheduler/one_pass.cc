#include "coordinator/scheduler/one_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/duration.h"
#include "coordinator/scheduler/preemption.h"
#include "coordinator/scheduler/reasons.h"

namespace muster::coordinator::scheduler {

bool StartInOnePass(const View& view, const std::vector<JobId>& jobs) {
  OnePass pass(view, OnePass::Mode::kTry, jobs.back());
  pass.Run();
  const std::vector<Start>& starts = pass.decisions().starts;
  return std::all_of(jobs.begin(), jobs.end(), [&](JobId job) {
    return std::any_of(starts.begin(), starts.end(),
                       [&](const Start& start) { return start.job == job; });
  });
}

OnePass::OnePass(const View& view, Mode mode, std::optional<JobId> focus)
    : view_(view),
      mode_(mode),
      focus_(focus),
      quota_(view),
      order_(view, quota_),
      promises_(*view.inventory),
      vacating_(view.running.size()) {
  for (size_t i = 0; i < view.running.size(); ++i) vacating_[i] = view.running[i].stopping;
  for (NodeIndex node = 0; node < view.inventory->size(); ++node) {
    if (view.inventory->usable(node)) free_slots_ += view.inventory->free_slots(node);
  }
}

Future& OnePass::future() {
  if (!future_) future_.emplace(view_, now(), promises_, begun_);
  return *future_;
}

void OnePass::Run() {
  for (const WaitingJob& job : view_.waiting) {
    if (job.holds_up_all && job.hold != nullptr && !job.hold->empty()) return RunHeld(job);
  }
  while (const WaitingJob* job = order_.Next()) {
    const bool more = Look(*job) && behind_ <= view_.options.backfill_depth;
    if (focus_ == job->job) return;
    if (!more) break;
  }
  if (focus_) TellUnseen();
  if (mode_ == Mode::kDecide) Grow();
}

uint64_t OnePass::work() const {
  // A pass begins with a look at everything, and a future is a copy of it.
  constexpr uint64_t kPerFuture = 16;
  const uint64_t placements = placements_ + (future_ ? future_->placements() + kPerFuture : 0);
  return (1 + placements) * view_.inventory->size() + view_.waiting.size() + view_.running.size();
}

void OnePass::RunHeld(const WaitingJob& holder) {
  decisions_.look_again = holder.hold_until;
  for (const WaitingJob& job : view_.waiting) {
    if (Told(job)) Tell({job.job, *holder.hold, {}, absl::InfiniteFuture(), true});
  }
}

bool OnePass::Look(const WaitingJob& job) {
  if (job.hold != nullptr && !job.hold->empty()) {
    if (job.hold_until > view_.now) {
      decisions_.look_again = std::min(decisions_.look_again, job.hold_until);
    }
    if (Told(job)) Tell({job.job, *job.hold, {}, absl::InfiniteFuture(), true});
    return true;
  }
  const absl::Time end = view_.now + TimeLimitOf(*job.spec);
  if (IsClosed(job)) return true;
  const QuotaBook::Bar bar = quota_.BarOf(job, end);
  if (bar != QuotaBook::Bar::kNone) {
    if (StartShorter(job, end)) return true;
    Close(job, bar);
    return true;
  }
  const Gang gang{job.job, job.spec, job.shape, IsPreemptible(*job.spec), job.previous};
  Failed& failed = failed_[gang.preemptible ? 1 : 0][*job.placement_class];
  const int64_t end_ns = absl::ToUnixNanos(end);
  // A recovering job has spares of its own, so the others of its class say nothing about it.
  const bool known = failed.any && failed.end_ns <= end_ns && !job.recovering;
  if (!known && job.shape->slots() <= free_slots_) {
    const Promises::ForStart denied(promises_, end);
    ++placements_;
    if (std::optional<Placed> placed = PlaceNow(job, gang, denied)) {
      Start(job, std::move(*placed), end);
      return true;
    }
  }
  if (StartShorter(job, end)) return true;
  if (!job.recovering) {
    failed.end_ns = failed.any ? std::min(failed.end_ns, end_ns) : end_ns;
    failed.any = true;
  }
  if (behind_++ == 0) first_blocked_ = job.job;
  if (heads_ < view_.options.reserved_heads) {
    Block(job, gang, failed);
  } else {
    TellBehind(job, gang);
  }
  return free_slots_ > 0 || heads_ < view_.options.reserved_heads || focus_.has_value();
}

std::optional<Placed> OnePass::PlaceNow(const WaitingJob& job, const Gang& gang,
                                        const Denied& denied) const {
  if (job.avoid != nullptr && !job.avoid->empty()) {
    Gang elsewhere = gang;
    elsewhere.avoid = job.avoid;
    if (std::optional<Placed> placed = Place(elsewhere, now(), &denied)) return placed;
  }
  return Place(gang, now(), &denied);
}

bool OnePass::StartShorter(const WaitingJob& job, absl::Time end) {
  if (!job.recovering || job.shorter == nullptr) return false;
  const Promises::ForStart denied(promises_, end);
  for (const ShorterShape& one : *job.shorter) {
    if (one.shape.slots() > free_slots_) continue;
    WaitingJob less = job;
    less.shape = &one.shape;
    if (quota_.BarOf(less, end) != QuotaBook::Bar::kNone) continue;
    const Gang gang{job.job, job.spec, less.shape, IsPreemptible(*job.spec), job.previous};
    ++placements_;
    std::optional<Placed> placed = PlaceNow(less, gang, denied);
    if (!placed) continue;
    Start(shortened_.emplace_back(less), std::move(*placed), end);
    decisions_.starts.back().data = one.data;
    return true;
  }
  return false;
}

void OnePass::Start(const WaitingJob& job, Placed placed, absl::Time end) {
  if (!inventory_) inventory_.emplace(*view_.inventory);
  scheduler::Start start;
  start.job = job.job;
  for (const NodeIndex node : placed.spares) {
    start.spares.push_back(now().facts(node).name);
    free_slots_ -= now().free_slots(node);
  }
  Holding holding = TakeStart(*inventory_, job, placed);
  free_slots_ -= holding.slots.size();
  quota_.Started(job);
  if (future_) future_->Started(job, placed, {job.job, end, holding});
  begun_.push_back({job.job, end, std::move(holding)});
  if (mode_ != Mode::kSilent) start.reason = StartText(job, placed.shares, start.spares);
  start.shares = std::move(placed.shares);
  decisions_.starts.push_back(std::move(start));
}

void OnePass::Close(const WaitingJob& job, QuotaBook::Bar bar) {
  const bool for_all = bar == QuotaBook::Bar::kPaused || bar == QuotaBook::Bar::kQueueLimit;
  if (!quota_.NeverFits(job, bar)) {
    closed_.try_emplace({job.queue, bar, bar == QuotaBook::Bar::kUserLimit ? *job.user : ""},
                        job.job);
    if (for_all && !job.recovering && !focus_) order_.Drop(job.queue);
  }
  if (!Told(job)) return;
  Tell({job.job,
        "waiting: " + quota_.BarText(job, bar),
        {quota_.LiftText(job, bar)},
        absl::InfiniteFuture()});
}

bool OnePass::IsClosed(const WaitingJob& job) {
  using Bar = QuotaBook::Bar;
  if (closed_.empty()) return false;
  const std::string& queue = view_.queues[job.queue].spec->name();
  for (const auto& [bar, what] :
       {std::pair(Bar::kQueueLimit, "limit"), std::pair(Bar::kUserLimit, "limit per user"),
        std::pair(Bar::kNotPreemptible, "quota")}) {
    if (bar == Bar::kNotPreemptible && IsPreemptible(*job.spec)) continue;
    const auto found = closed_.find({job.queue, bar, bar == Bar::kUserLimit ? *job.user : ""});
    if (found == closed_.end()) continue;
    if (!Told(job)) return true;
    const uint64_t first = found->second.value();
    Tell({job.job,
          fmt::format("waiting: behind job {}, which waits for the {} of queue {}", first, what,
                      queue),
          {fmt::format("job {} starts", first)},
          absl::InfiniteFuture()});
    return true;
  }
  return false;
}

void OnePass::Block(const WaitingJob& job, const Gang& gang, Failed& failed) {
  std::optional<Future::Fit> natural;
  if (!failed.never || job.recovering) natural = future().Earliest(gang);
  if (!natural) {
    if (job.recovering) {
      KeepPrevious(job);
    } else {
      failed.never = true;
    }
    if (!Told(job)) return;
    Tell({job.job, "waiting: " + WhyNot(job, gang), Unblocks(gang), absl::InfiniteFuture()});
    return;
  }
  // Nobody is stopped for room that comes as soon by itself.
  if (natural->at > view_.now + view_.options.preempt_grace) {
    std::optional<Future::Fit> sooner = AfterVacating(gang);
    if (!sooner) sooner = AfterPreempting(job, gang);
    if (sooner) natural = std::move(sooner);
  }
  if (Told(job)) TellFit(job, gang, *natural);
  MakePromise(job, gang, *natural);
}

std::optional<Future::Fit> OnePass::AfterVacating(const Gang& gang) {
  std::vector<size_t> leaving;
  for (size_t i = 0; i < vacating_.size(); ++i) {
    if (vacating_[i]) leaving.push_back(i);
  }
  if (leaving.empty()) return std::nullopt;
  return future().Without(gang, leaving);
}

std::optional<Future::Fit> OnePass::AfterPreempting(const WaitingJob& job, const Gang& gang) {
  std::optional<Vacated> vacated =
      ChooseVictims(view_, job, gang, order_.entitled(),
                    mode_ == Mode::kTry ? nullptr : &decisions_, quota_, vacating_, future());
  if (!vacated) return std::nullopt;
  for (const Victim& victim : vacated->victims) {
    const RunningJob& running = view_.running[victim.running];
    decisions_.preemptions.push_back(
        {running.job, job.job, mode_ == Mode::kSilent ? "" : PreemptionText(view_, job, victim)});
    vacating_[victim.running] = true;
    quota_.Vacates(running);
  }
  return std::move(vacated->fit);
}

void OnePass::MakePromise(const WaitingJob& job, const Gang& gang, const Future::Fit& fit) {
  ++heads_;
  promises_.Add(
      {job.job, fit.at, fit.at + TimeLimitOf(*job.spec), future().SlotsOf(gang, fit.placed)});
  quota_.Promised(job, fit.at);
  // The end that it waits for leads to a pass by itself; one that is late is looked at again.
  if (fit.at > view_.now) {
    decisions_.look_again = std::min(decisions_.look_again, fit.at + view_.options.late_by);
  }
}

void OnePass::KeepPrevious(const WaitingJob& job) {
  if (job.previous == nullptr) return;
  Promise promise;
  promise.job = job.job;
  for (const v1::NodeShare& share : *job.previous) {
    const NodeIndex node = now().Find(NodeId(share.node()));
    if (node == Inventory::kNone || !now().usable(node)) continue;
    for (const uint32_t slot : share.slots()) {
      if (now().is_free(node, slot)) {
        promise.slots.push_back({node, slot});
      }
    }
  }
  ++heads_;
  promises_.Add(std::move(promise));
}

bool OnePass::Told(const WaitingJob& job) const {
  constexpr size_t kWaitsTold = 64;
  if (mode_ == Mode::kTry || mode_ == Mode::kSilent) return false;
  return focus_ ? focus_ == job.job : decisions_.waits.size() < kWaitsTold;
}

void OnePass::Tell(Wait wait) {
  if (focus_) {
    focus_wait_ = std::move(wait);
  } else {
    decisions_.waits.push_back(std::move(wait));
  }
}

// Costs tens of placements, so only who asks about one job gets it.
std::vector<std::string> OnePass::Unblocks(const Gang& gang) const {
  if (mode_ != Mode::kExplain) return {};
  return WhatWouldUnblock(gang, now());
}

std::string OnePass::WhyNot(const WaitingJob& job, const Gang& gang) const {
  std::string text = WhyNot(gang);
  if (job.recovering && job.shorter != nullptr && !job.shorter->empty()) {
    const ShorterShape& least = job.shorter->back();
    text += fmt::format("; not even the {} of data {}, its minimum, have room",
                        CountText(least.shape.ranks, "rank"), least.data);
  }
  return text;
}

std::string OnePass::WhyNot(const Gang& gang) const {
  std::optional<Placed> placed;
  if (gang.shape->slots() <= free_slots_) placed = Place(gang, now(), nullptr);
  if (!placed) return WhyNotPlaced(gang, now(), nullptr);
  for (const v1::NodeShare& share : placed->shares) {
    const NodeIndex node = now().Find(NodeId(share.node()));
    for (const uint32_t slot : share.slots()) {
      const Promise* promise = promises_.Of({node, slot});
      if (promise == nullptr) continue;
      return fmt::format(
          "{} × {} would fit on slots kept for job {}, which is before it{}",
          CountText(gang.shape->ranks, "rank"), CountText(gang.shape->slots_per_rank, "slot"),
          promise->job.value(),
          promise->at == absl::InfiniteFuture()
              ? ""
              : fmt::format(" and gets them in {} at most", DurationText(promise->at - view_.now)));
    }
  }
  return WhyNotPlaced(gang, now(), nullptr);
}

void OnePass::TellFit(const WaitingJob& job, const Gang& gang, const Future::Fit& fit) {
  Wait wait{job.job, "waiting: " + WhyNot(job, gang), {}, fit.at};
  bool all_vacate = !fit.after.empty(), already = true;
  uint64_t slots = 0;
  std::vector<JobId> after;
  for (const Future::Ending& ending : fit.after) {
    all_vacate = all_vacate && ending.running && vacating_[*ending.running];
    // A question stops nobody: who would be stopped is not yet.
    already = already && (!focus_ || (all_vacate && view_.running[*ending.running].stopping));
    slots += ending.slots;
    after.push_back(ending.job);
  }
  if (all_vacate) {
    wait.reason += "; " + VacatingText(after, slots, fit.at - view_.now, already);
  } else if (!after.empty()) {
    wait.reason += "; " + AfterText(after, fit.at - view_.now);
    wait.unblock.push_back(JobsText(after) + (after.size() == 1 ? " ends" : " end"));
  }
  for (std::string& line : Unblocks(gang)) wait.unblock.push_back(std::move(line));
  Tell(std::move(wait));
}

void OnePass::TellBehind(const WaitingJob& job, const Gang& gang) {
  if (mode_ != Mode::kExplain || focus_ != job.job) return;
  Tell({job.job,
        fmt::format("waiting: {}; {} before it, first job {}", WhyNot(job, gang),
                    CountText(behind_ - 1, "job"), first_blocked_.value()),
        Unblocks(gang), absl::InfiniteFuture()});
}

void OnePass::TellUnseen() {
  if (behind_ == 0) return;
  Tell({*focus_,
        fmt::format("waiting: behind {} that wait, first job {}; a pass looks no further",
                    CountText(behind_, "job"), first_blocked_.value()),
        {fmt::format("job {} starts", first_blocked_.value())},
        absl::InfiniteFuture()});
}

}  // namespace muster::coordinator::scheduler
