#include "sim/replay/outages.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "common/duration.h"

namespace muster::sim::replay {
namespace {

constexpr size_t kStoryMax = 14;

std::string Short(const std::string& text) {
  return text.size() <= 160 ? text : text.substr(0, 157) + "...";
}

}  // namespace

Micros Outage::All() const { return std::accumulate(spent.begin(), spent.end(), Micros{0}); }
Micros Outage::Down() const { return All() - spent[static_cast<size_t>(OutagePhase::kRecompute)]; }

Outages::Open* Outages::Find(uint64_t job) {
  const auto found = open_.find(job);
  return found == open_.end() ? nullptr : &found->second;
}

void Outages::Turn(Open& open, Micros now, OutagePhase next) {
  open.outage.spent[static_cast<size_t>(open.phase)] += now - open.since;
  open.since = now;
  open.phase = next;
}

void Outages::Tell(Open& open, Micros now, const std::string& what) {
  auto& story = open.outage.story;
  if (story.size() == kStoryMax) story.back() = "…";
  if (story.size() >= kStoryMax) return;
  story.push_back(fmt::format("+{:9}  {}", DurationText(absl::Microseconds(now - open.outage.at)),
                              Short(what)));
}

void Outages::Hit(Micros now, uint64_t job, uint64_t attempt, const Fault& fault,
                  const std::string& node) {
  const auto [found, first] = open_.try_emplace(job);
  Open& open = found->second;
  if (first) {
    open.since = now;
    open.outage.job = job;
    open.outage.number = attempt;
    open.outage.at = now;
    open.outage.cause = fault.cause;
    open.outage.kind = fault.kind;
  } else if (open.phase != OutagePhase::kStop && open.phase != OutagePhase::kReplace) {
    Turn(open, now, OutagePhase::kDetect);
  }
  ++open.outage.nodes_hit;
  Tell(open, now, fmt::format("{}: {} ({})", node, fault.cause, KindText(fault.kind)));
}

void Outages::Known(Micros now, const v1::AttemptStopping& stopping) {
  Open* open = Find(stopping.job_id());
  if (open == nullptr) return;
  if (open->phase != OutagePhase::kStop) Turn(*open, now, OutagePhase::kStop);
  std::string next = stopping.next();
  if (!next.empty()) next = "; " + next;
  Tell(*open, now,
       fmt::format("attempt {} stops: {}{}", stopping.attempt(), stopping.cause().text(), next));
}

void Outages::Gone(Micros now, uint64_t job) {
  if (Open* open = Find(job)) {
    Turn(*open, now, OutagePhase::kReplace);
    Tell(*open, now, "every process of it is gone");
  }
}

void Outages::Placed(Micros now, const v1::AttemptStarted& started, v1::Rung rung) {
  Open* open = Find(started.job_id());
  if (open == nullptr) return;
  Turn(*open, now, OutagePhase::kStart);
  ++open->outage.attempts;
  open->outage.rung = rung;
  Tell(*open, now,
       fmt::format("attempt {} on {} nodes: {}", started.attempt(), started.shares_size(),
                   started.reason()));
}

void Outages::Up(Micros now, uint64_t job) {
  if (Open* open = Find(job)) {
    Turn(*open, now, OutagePhase::kLoad);
    Tell(*open, now, "every rank runs");
  }
}

void Outages::Stepping(Micros now, uint64_t job, uint64_t from, uint64_t best) {
  Open* open = Find(job);
  if (open == nullptr) return;
  Turn(*open, now, OutagePhase::kRecompute);
  const uint64_t lost = best > from ? best - from : 0;
  open->outage.steps_lost += lost;
  Tell(*open, now, fmt::format("steps again from step {}, {} to be done again", from, lost));
}

void Outages::CaughtUp(Micros now, uint64_t job) {
  Open* open = Find(job);
  if (open == nullptr || open->phase != OutagePhase::kRecompute) return;
  Turn(*open, now, OutagePhase::kRecompute);
  open->outage.over = true;
  all_.push_back(std::move(open->outage));
  open_.erase(job);
}

void Outages::Close(Micros now) {
  for (auto& [job, open] : open_) {
    Turn(open, now, open.phase);
    all_.push_back(std::move(open.outage));
  }
  open_.clear();
  std::sort(all_.begin(), all_.end(), [](const Outage& a, const Outage& b) {
    return a.at != b.at ? a.at < b.at : a.job < b.job;
  });
}

}  // namespace muster::sim::replay
