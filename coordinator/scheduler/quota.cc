#include "coordinator/scheduler/quota.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

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

const std::vector<bool>& QuotaBook::Borrowers(const std::vector<bool>& vacating) const {
  const std::pair<size_t, int64_t> when(started_.size(),
                                        std::count(vacating.begin(), vacating.end(), true));
  if (when == borrows_when_) return borrows_;
  borrows_when_ = when;
  struct Entry {
    bool preemptible;
    int64_t less_priority;
    JobId job;
    uint32_t queue;
    uint64_t slots;
    size_t index;  // into View::running; none of those started in this pass
    auto Rank() const { return std::tuple(preemptible, less_priority, job); }
  };
  std::vector<Entry> entries;
  entries.reserve(view_.running.size() + started_.size());
  for (size_t i = 0; i < view_.running.size(); ++i) {
    const RunningJob& job = view_.running[i];
    if (vacating[i]) continue;
    entries.push_back({IsPreemptible(*job.spec), -int64_t{job.spec->schedule().priority()}, job.job,
                       job.queue, job.slots, i});
  }
  for (const WaitingJob* job : started_) {
    entries.push_back({IsPreemptible(*job->spec), -int64_t{job->spec->schedule().priority()},
                       job->job, job->queue, job->shape->slots(), view_.running.size()});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.Rank() < b.Rank(); });
  std::vector<uint64_t> left;
  for (const QueueView& queue : view_.queues) left.push_back(queue.spec->quota());
  borrows_.assign(view_.running.size(), false);
  for (const Entry& entry : entries) {
    if (entry.slots <= left[entry.queue]) {
      left[entry.queue] -= entry.slots;
    } else if (entry.index < borrows_.size()) {
      borrows_[entry.index] = true;
    }
  }
  return borrows_;
}

void QuotaBook::Started(const WaitingJob& job) {
  const uint64_t slots = job.shape->slots();
  held_[job.queue] += slots;
  started_.push_back(&job);
  if (!IsPreemptible(*job.spec)) firm_[job.queue] += slots;
  user_held_[{job.queue, *job.user}] += slots;
}

void QuotaBook::Promised(const WaitingJob& job, absl::Time at) { pledges_.push_back({&job, at}); }

void QuotaBook::Vacates(const RunningJob& job) { vacating_[job.queue] += job.slots; }

}  // namespace muster::coordinator::scheduler
