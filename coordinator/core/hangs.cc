#include "coordinator/core/hangs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "common/check.h"
#include "common/duration.h"
#include "coordinator/core/incidents.h"

namespace muster::coordinator::core {
namespace {

constexpr int64_t kOutsideOfSteps = 10;
constexpr double kStepsAtLeast = 10;
constexpr size_t kOthersMax = 15;

bool IsStopped(const SeenRank& rank) {
  return rank.process_state == "T" || rank.process_state == "t" || rank.process_state == "Z";
}

bool HasEnded(const SeenRank& rank) { return rank.state == v1::RANK_STATE_EXITED; }

bool InCollective(const SeenRank& rank) {
  return rank.collective && !HasEnded(rank) && !rank.collective->done() &&
         !rank.collective->started();
}

std::string CollectiveText(const v1::CollectiveSeen& in) {
  return fmt::format("{} {} of {}", in.operation(), in.sequence(), in.group());
}

// " for 3.2 s"; nothing when not known.
std::string ForText(double seconds) {
  return seconds > 0 ? " for " + DurationText(absl::Seconds(seconds)) : "";
}

template <typename Test>
std::optional<size_t> First(const std::vector<SeenRank>& ranks, Test test) {
  const auto at = std::find_if(ranks.begin(), ranks.end(), test);
  if (at == ranks.end()) return std::nullopt;
  return static_cast<size_t>(at - ranks.begin());
}

// The one with the lowest sequence, if it is lower than another's of the same group.
std::optional<size_t> FurthestBehind(const std::vector<SeenRank>& ranks) {
  std::map<std::string, uint64_t> newest;
  for (const SeenRank& rank : ranks) {
    if (!InCollective(rank)) continue;
    uint64_t& known = newest[rank.collective->group()];
    known = std::max(known, rank.collective->sequence());
  }
  uint64_t most = 0;
  std::optional<size_t> found;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (!InCollective(ranks[i])) continue;
    const v1::CollectiveSeen& in = *ranks[i].collective;
    const uint64_t behind = newest[in.group()] - in.sequence();
    if (behind > most) {
      most = behind;
      found = i;
    }
  }
  return found;
}

std::string PhaseText(const SeenRank& rank) {
  if (rank.state == v1::RANK_STATE_SPAWNED) return " at start";
  switch (rank.phase) {
    case v1::PHASE_STEP:
      return fmt::format(" in step {}", rank.step + 1);
    case v1::PHASE_INIT:
      return " at start";
    case v1::PHASE_LOAD:
      return " while loading";
    case v1::PHASE_SAVE:
      return fmt::format(" while saving step {}", rank.step);
    case v1::PHASE_EVAL:
      return fmt::format(" while evaluating step {}", rank.step);
    case v1::PHASE_IDLE:
      return fmt::format(" after step {}", rank.step);
    case v1::PHASE_UNSPECIFIED:
    case v1::Phase_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Phase_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "";
}

v1::Evidence StillEvidence(const Turn& turn, const v1::NodeShare& share, uint32_t number,
                           const SeenRank& rank) {
  v1::Evidence evidence;
  evidence.set_kind(v1::EVIDENCE_KIND_RANK_STILL);
  evidence.set_role(v1::EVIDENCE_ROLE_CASCADE);
  evidence.set_node(share.node());
  evidence.set_has_rank(true);
  evidence.set_rank(number);
  evidence.set_seen_unix_ms(turn.now_ms());
  evidence.set_time_unix_us((turn.now_ms() - rank.still_ms) * 1000);
  evidence.set_phase(rank.phase);
  evidence.set_step(rank.phase == v1::PHASE_STEP ? rank.step + 1 : rank.step);
  if (rank.collective) *evidence.mutable_collective() = *rank.collective;
  evidence.set_text(fmt::format("rank {} on {} {}", number, share.node(), StillText(rank)));
  return evidence;
}

}  // namespace

int64_t HangLimitMs(const ClusterState& state, const Job& job, const Attempt& attempt) {
  absl::Duration limit = state.options.hang_after;
  if (job.spec.recovery().has_hang_after()) {
    limit = absl::Seconds(job.spec.recovery().hang_after().seconds()) +
            absl::Nanoseconds(job.spec.recovery().hang_after().nanos());
  }
  limit = std::max(limit, absl::Seconds(kStepsAtLeast * attempt.progress.step_seconds()));
  const bool steps =
      attempt.facts.first_step_unix_ms() != 0 && attempt.progress.phase() == v1::PHASE_STEP;
  return absl::ToInt64Milliseconds(limit) * (steps ? 1 : kOutsideOfSteps);
}

size_t RootOfHang(const std::vector<SeenRank>& ranks) {
  CHECK(!ranks.empty(), "a hang of no ranks");
  if (const auto stopped = First(ranks, IsStopped)) return *stopped;
  if (First(ranks, InCollective)) {
    const auto outside =
        First(ranks, [](const SeenRank& rank) { return !HasEnded(rank) && !InCollective(rank); });
    if (outside) return *outside;
  }
  if (const auto behind = FurthestBehind(ranks)) return *behind;
  const auto disk = First(ranks, [](const SeenRank& rank) { return rank.process_state == "D"; });
  if (disk) return *disk;
  const auto longest = std::max_element(
      ranks.begin(), ranks.end(),
      [](const SeenRank& left, const SeenRank& right) { return left.still_ms < right.still_ms; });
  return static_cast<size_t>(longest - ranks.begin());
}

std::string StillText(const SeenRank& rank) {
  std::string text = fmt::format("stands still{}", PhaseText(rank));
  if (IsStopped(rank)) return text + ": its process is stopped";
  if (rank.state == v1::RANK_STATE_SPAWNED) return text + ": it has not said hello";
  if (InCollective(rank)) {
    return text + ": waits in " + CollectiveText(*rank.collective) +
           ForText(rank.collective->age_seconds());
  }
  if (rank.process_state == "D") return text + ": its process waits for a disk";
  return rank.collective ? text + ": in no collective" : text;
}

std::string WaitersText(const std::vector<SeenRank>& ranks, size_t root) {
  struct Waiters {
    size_t count = 0;
    double longest = 0;
  };
  std::map<std::string, Waiters> by_collective;
  size_t others = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (i == root || HasEnded(ranks[i])) continue;
    ++others;
    if (!InCollective(ranks[i])) continue;
    Waiters& waiters = by_collective[CollectiveText(*ranks[i].collective)];
    ++waiters.count;
    waiters.longest = std::max(waiters.longest, ranks[i].collective->age_seconds());
  }
  const auto most = std::max_element(
      by_collective.begin(), by_collective.end(),
      [](const auto& left, const auto& right) { return left.second.count < right.second.count; });
  if (most == by_collective.end()) return "";
  const auto& [name, waiters] = *most;
  return fmt::format("; {}{} other{} wait{} in {}{}", waiters.count,
                     waiters.count == others ? "" : fmt::format(" of {}", others),
                     others == 1 ? "" : "s", waiters.count == 1 ? "s" : "", name,
                     ForText(waiters.longest));
}

void CheckHang(Turn& turn, Job& job) {
  const Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr || !attempt->good() || attempt->ranks_still == 0) return;
  if (attempt->ranks_still + attempt->ranks_clean < attempt->ranks.size()) return;
  const size_t root = RootOfHang(attempt->ranks);
  std::vector<v1::Evidence> evidence;
  size_t others = 0;
  for (const v1::NodeShare& share : attempt->facts.shares()) {
    for (uint32_t rank = share.first_rank(); rank < share.first_rank() + share.ranks(); ++rank) {
      if (HasEnded(attempt->ranks[rank])) continue;
      if (rank != root && ++others > kOthersMax) continue;
      evidence.push_back(StillEvidence(turn, share, rank, attempt->ranks[rank]));
      if (rank != root) continue;
      evidence.back().set_role(v1::EVIDENCE_ROLE_ROOT);
      *evidence.back().mutable_text() += WaitersText(attempt->ranks, root);
    }
  }
  FailAttempt(turn, job, std::move(evidence));
}

}  // namespace muster::coordinator::core
