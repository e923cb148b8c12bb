#include "coordinator/scheduler/quota.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "common/check.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr absl::Time kEver = absl::InfiniteFuture();

}  // namespace

bool IsPreemptible(const v1::JobSpec& spec) {
  return !spec.schedule().has_preemptible() || spec.schedule().preemptible();
}

QuotaBook::QuotaBook(const View& view)
    : view_(view),
      held_(view.queues.size()),
      vacating_(view.queues.size()),
      started_(view.queues.size()),
      firm_(view.queues.size()) {
  for (size_t i = 0; i < view.queues.size(); ++i) {
    held_[i] = view.queues[i].slots_held;
    queues_with_quota_ += view.queues[i].spec->quota() > 0 ? 1 : 0;
  }
  for (const RunningJob& job : view.running) {
    CHECK(job.queue < held_.size(), "job {} is in queue {} of {}", job.job.value(), job.queue,
          held_.size());
    if (job.stopping) vacating_[job.queue] += job.slots;
    if (!IsPreemptible(*job.spec)) firm_[job.queue] += job.slots;
  }
  for (const UserView& user : view.users) user_held_[{user.queue, user.user}] = user.slots_held;
}

uint64_t QuotaBook::UserHeld(const WaitingJob& job) const {
  const auto found = user_held_.find({job.queue, *job.user});
  return found == user_held_.end() ? 0 : found->second;
}

uint64_t QuotaBook::Pledged(uint32_t queue, absl::Time end, const std::string* user,
                            bool firm) const {
  uint64_t slots = 0;
  for (const Pledge& pledge : pledges_) {
    const WaitingJob& job = *pledge.job;
    if (job.queue != queue || (pledge.at != kEver && pledge.at >= end)) continue;
    if (user != nullptr && *job.user != *user) continue;
    if (firm && IsPreemptible(*job.spec)) continue;
    slots += job.shape->slots();
  }
  return slots;
}

QuotaBook::Bar QuotaBook::BarOf(const WaitingJob& job, absl::Time end) const {
  const v1::QueueSpec& spec = *queue(job).spec;
  const uint64_t slots = job.shape->slots();
  if (spec.paused()) return Bar::kPaused;
  if (spec.has_limit() &&
      held_[job.queue] + Pledged(job.queue, end, nullptr, false) + slots > spec.limit()) {
    return Bar::kQueueLimit;
  }
  if (spec.has_user_limit() &&
      UserHeld(job) + Pledged(job.queue, end, job.user, false) + slots > spec.user_limit()) {
    return Bar::kUserLimit;
  }
  const bool others_have_quota = queues_with_quota_ > (spec.quota() > 0 ? 1u : 0u);
  if (others_have_quota && !IsPreemptible(*job.spec) &&
      firm_[job.queue] + Pledged(job.queue, end, nullptr, true) + slots > spec.quota()) {
    return Bar::kNotPreemptible;
  }
  return Bar::kNone;
}

bool QuotaBook::NeverFits(const WaitingJob& job, Bar bar) const {
  const v1::QueueSpec& spec = *queue(job).spec;
  const uint64_t slots = job.shape->slots();
  switch (bar) {
    case Bar::kNone:
    case Bar::kPaused:
      return false;
    case Bar::kQueueLimit:
      return slots > spec.limit();
    case Bar::kUserLimit:
      return slots > spec.user_limit();
    case Bar::kNotPreemptible:
      return slots > spec.quota();
  }
  return false;
}

std::string QuotaBook::BarText(const WaitingJob& job, Bar bar) const {
  const v1::QueueSpec& spec = *queue(job).spec;
  const auto promised = [](uint64_t slots) {
    return slots == 0 ? "" : fmt::format(" and is promised {}", slots);
  };
  switch (bar) {
    case Bar::kNone:
      return "";
    case Bar::kPaused:
      return fmt::format("queue {} is paused{}", spec.name(),
                         spec.paused_reason().empty() ? "" : " (" + spec.paused_reason() + ")");
    case Bar::kQueueLimit:
      return fmt::format("needs {} slots, queue {} holds {}{} of its limit of {} slots",
                         job.shape->slots(), spec.name(), held_[job.queue],
                         promised(Pledged(job.queue, kEver, nullptr, false)), spec.limit());
    case Bar::kUserLimit:
      return fmt::format(
          "needs {} slots, {} holds {}{} of the {} slots one user may hold in queue {}",
          job.shape->slots(), *job.user, UserHeld(job),
          promised(Pledged(job.queue, kEver, job.user, false)), spec.user_limit(), spec.name());
    case Bar::kNotPreemptible:
      return fmt::format(
          "needs {} slots and may not be preempted, so it may not borrow; such jobs hold {}{} of "
          "the quota of {} slots of queue {}",
          job.shape->slots(), firm_[job.queue], promised(Pledged(job.queue, kEver, nullptr, true)),
          spec.quota(), spec.name());
  }
  return "";
}

std::string QuotaBook::LiftText(const WaitingJob& job, Bar bar) const {
  const v1::QueueSpec& spec = *queue(job).spec;
  const uint64_t slots = job.shape->slots();
  switch (bar) {
    case Bar::kNone:
      return "";
    case Bar::kPaused:
      return fmt::format("queue {} resumed", spec.name());
    case Bar::kQueueLimit:
      return fmt::format("a limit of {} or more slots for queue {}",
                         held_[job.queue] + Pledged(job.queue, kEver, nullptr, false) + slots,
                         spec.name());
    case Bar::kUserLimit:
      return fmt::format("a limit of {} or more slots per user of queue {}",
                         UserHeld(job) + Pledged(job.queue, kEver, job.user, false) + slots,
                         spec.name());
    case Bar::kNotPreemptible:
      return fmt::format("a quota of {} or more slots for queue {}, or preemptible: true",
                         firm_[job.queue] + Pledged(job.queue, kEver, nullptr, true) + slots,
                         spec.name());
  }
  return "";
}

bool QuotaBook::Entitled(const WaitingJob& job) const {
  const uint64_t quota = queue(job).spec->quota();
  if (quota == 0) return false;
  const uint64_t held = held_[job.queue] - std::min(vacating_[job.queue], held_[job.queue]) +
                        Pledged(job.queue, kEver, nullptr, false);
  return held + job.shape->slots() <= quota;
}

std::vector<bool> QuotaBook::Borrowers(const std::vector<bool>& vacating) const {
  const std::vector<RunningJob>& running = view_.running;
  std::vector<size_t> order(running.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const bool firm_a = !IsPreemptible(*running[a].spec), firm_b = !IsPreemptible(*running[b].spec);
    if (firm_a != firm_b) return firm_a;
    const int32_t pa = running[a].spec->schedule().priority();
    const int32_t pb = running[b].spec->schedule().priority();
    if (pa != pb) return pa > pb;
    return running[a].job < running[b].job;
  });
  std::vector<uint64_t> left(view_.queues.size());
  for (size_t i = 0; i < left.size(); ++i) {
    const uint64_t quota = view_.queues[i].spec->quota();
    left[i] = quota - std::min(quota, started_[i]);
  }
  std::vector<bool> borrows(running.size());
  for (const size_t i : order) {
    const RunningJob& job = running[i];
    if (vacating[i]) continue;
    if (job.slots <= left[job.queue]) {
      left[job.queue] -= job.slots;
    } else {
      borrows[i] = true;
    }
  }
  return borrows;
}

void QuotaBook::Started(const WaitingJob& job) {
  const uint64_t slots = job.shape->slots();
  held_[job.queue] += slots;
  started_[job.queue] += slots;
  if (!IsPreemptible(*job.spec)) firm_[job.queue] += slots;
  user_held_[{job.queue, *job.user}] += slots;
}

void QuotaBook::Promised(const WaitingJob& job, absl::Time at) { pledges_.push_back({&job, at}); }

void QuotaBook::Vacates(const RunningJob& job) { vacating_[job.queue] += job.slots; }

}  // namespace muster::coordinator::scheduler
