#include "worker/core/local_attempt.h"

#include <algorithm>
#include <numeric>

namespace muster::worker::core {

std::string AttemptName(const AttemptKey& key) {
  return std::to_string(key.job.value()) + "." + std::to_string(key.attempt.value());
}

bool IsPresent(const LocalAttempt& attempt) {
  switch (attempt.phase) {
    case AttemptPhase::kWaiting:
    case AttemptPhase::kStarting:
    case AttemptPhase::kRunning:
    case AttemptPhase::kCleaning:
      return true;
    case AttemptPhase::kStopped:
    case AttemptPhase::kReleasing:
      return false;
  }
  return false;
}

std::vector<uint32_t> RanksOn(const v1::StartRanks& start, const std::string& node) {
  if (start.share().node() != node) return {};
  std::vector<uint32_t> ranks(start.share().ranks());
  std::iota(ranks.begin(), ranks.end(), start.share().first_rank());
  return ranks;
}

v1::AttemptReport StoppedReport(const LocalAttempt& attempt, const std::string& node,
                                const std::string& error) {
  constexpr int kKilled = 9;
  v1::AttemptReport report = attempt.report;
  report.set_job_id(attempt.start.job_id());
  report.set_attempt(attempt.start.attempt());
  report.set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  for (const uint32_t rank : RanksOn(attempt.start, node)) {
    const auto known = std::find_if(report.ranks().begin(), report.ranks().end(),
                                    [&](const auto& r) { return r.rank() == rank; });
    if (known == report.ranks().end()) report.add_ranks()->set_rank(rank);
  }
  for (v1::RankReport& rank : *report.mutable_ranks()) {
    if (rank.state() == v1::RANK_STATE_EXITED) continue;
    rank.set_state(v1::RANK_STATE_EXITED);
    rank.set_signal(kKilled);
    rank.set_error(error);
    rank.set_stopped_by_us(attempt.stop.has_value());
  }
  return report;
}

namespace {

bool TroublesDiffer(const v1::RankReport& a, const v1::RankReport& b) {
  return !std::equal(a.save_troubles().begin(), a.save_troubles().end(), b.save_troubles().begin(),
                     b.save_troubles().end(), [](const auto& x, const auto& y) {
                       return x.kind() == y.kind() && x.text() == y.text();
                     });
}

}  // namespace

bool StatesDiffer(const v1::AttemptReport& a, const v1::AttemptReport& b) {
  if (a.state() != b.state() || a.ranks_size() != b.ranks_size()) return true;
  if (a.save() != b.save()) return true;
  for (int i = 0; i < a.ranks_size(); ++i) {
    const v1::RankReport& x = a.ranks(i);
    const v1::RankReport& y = b.ranks(i);
    if (x.rank() != y.rank() || x.state() != y.state() || x.pid() != y.pid() ||
        x.progress().phase() != y.progress().phase() || x.milestones() != y.milestones() ||
        TroublesDiffer(x, y)) {
      return true;
    }
  }
  return false;
}

}  // namespace muster::worker::core
