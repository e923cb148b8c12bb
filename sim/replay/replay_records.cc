// What the coordinator's records mean for the books of the replay.
#include <algorithm>

#include "sim/replay/replay.h"

namespace muster::sim::replay {

void Replay::OnRecord(const v1::Record& record) {
  const Micros now = agenda_.now();
  switch (record.record_case()) {
    case v1::Record::kJobSubmitted:
      return OnSubmitted(record.job_submitted());
    case v1::Record::kAttemptStarted:
      return OnStarted(record.attempt_started());
    case v1::Record::kAttemptStopping:
      return OnStopping(record.attempt_stopping());
    case v1::Record::kAttemptEnded: {
      const v1::AttemptEnded& ended = record.attempt_ended();
      const auto gang = gangs_.find({ended.job_id(), ended.attempt()});
      if (gang != gangs_.end()) {
        gang->second->Ended();
        gangs_.erase(gang);
      }
      TimesOf(ended.job_id()).book.Enter(now, v1::LEDGER_KIND_WAITING);
      return outages_.Gone(now, ended.job_id());
    }
    case v1::Record::kJobEnded: {
      JobTimes& times = TimesOf(record.job_ended().job_id());
      if (times.book.open()) times.book.Close(now);
      times.ended = true;
      times.end_state = record.job_ended().state();
      times.end_reason = record.job_ended().reason();
      return;
    }
    case v1::Record::kNodeQuarantineSet: {
      const v1::NodeQuarantineSet& set = record.node_quarantine_set();
      const auto node = static_cast<uint32_t>(std::atoll(set.node().c_str() + 1) - 1);
      result_.picture.SetQuarantined(
          node,
          set.quarantine() == v1::QUARANTINE_COOLING || set.quarantine() == v1::QUARANTINE_TESTING,
          now);
      return;
    }
    default:
      return;
  }
}

void Replay::OnSubmitted(const v1::JobSubmitted& submitted) {
  const Micros bin = submitted.job_id() == 1 ? result_.picture.bin() : 0;
  const auto [found, added] =
      result_.jobs.try_emplace(submitted.job_id(), options_.picture_bins > 0 ? bin : Micros{0});
  found->second.name = submitted.spec().name();
  found->second.submitted = agenda_.now();
  found->second.nodes = submitted.spec().mesh(0).size();
}

v1::Rung Replay::RungOf(const v1::AttemptStarted& started, std::vector<std::string> nodes) {
  const std::vector<std::string> before = std::exchange(placed_on_, std::move(nodes));
  if (started.rung() != v1::RUNG_UNSPECIFIED) return started.rung();
  if (placed_on_.size() < before.size()) return v1::RUNG_SHRINK;
  return placed_on_ == before ? v1::RUNG_RESTART : v1::RUNG_REPLACE;
}

void Replay::OnStarted(const v1::AttemptStarted& started) {
  const Micros now = agenda_.now();
  JobTimes& times = TimesOf(started.job_id());
  ++times.attempts;
  if (times.placed < 0) {
    times.placed = now;
    times.book.Open(now, v1::LEDGER_KIND_STARTUP);
  } else {
    times.book.Enter(now, v1::LEDGER_KIND_RESTART);
  }
  v1::Rung rung = started.rung() == v1::RUNG_UNSPECIFIED ? v1::RUNG_RESTART : started.rung();
  if (started.job_id() == 1) {
    std::vector<std::string> nodes;
    for (const v1::NodeShare& share : started.shares()) nodes.push_back(share.node());
    std::sort(nodes.begin(), nodes.end());
    if (!result_.picture.empty()) {
      const auto index = [](const std::string& name) {
        return static_cast<uint32_t>(std::atoll(name.c_str() + 1) - 1);
      };
      for (const std::string& name : placed_on_) {
        if (!std::binary_search(nodes.begin(), nodes.end(), name)) {
          result_.picture.SetWorking(index(name), false, now);
        }
      }
      for (const std::string& name : nodes) result_.picture.SetWorking(index(name), true, now);
    }
    rung = RungOf(started, std::move(nodes));
  }
  outages_.Placed(now, started, rung);
}

void Replay::OnStopping(const v1::AttemptStopping& stopping) {
  const bool failed = stopping.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
                      stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST;
  if (!failed) return;
  TimesOf(stopping.job_id()).book.Enter(agenda_.now(), v1::LEDGER_KIND_RESTART);
  outages_.Known(agenda_.now(), stopping);
}

}  // namespace muster::sim::replay
