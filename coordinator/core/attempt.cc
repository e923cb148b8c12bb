#include "coordinator/core/attempt.h"

#include <algorithm>
#include <limits>

namespace muster::coordinator::core {
namespace {

bool Failed(const v1::RankReport& rank) {
  return rank.signal() != 0 || rank.exit_code() != 0 || !rank.error().empty();
}

int64_t ExitTime(const v1::RankReport& rank) {
  return rank.exit_unix_us() > 0 ? rank.exit_unix_us() : std::numeric_limits<int64_t>::max();
}

}  // namespace

void Attempt::Place(const google::protobuf::RepeatedPtrField<v1::NodeShare>& placed) {
  *facts.mutable_shares() = placed;
  size_t world_size = 0;
  for (const v1::NodeShare& one : placed) {
    by_node_.push_back(static_cast<uint32_t>(shares.size()));
    Share& share = shares.emplace_back();
    share.node = NodeId(one.node());
    share.ranks = one.ranks();
    world_size += one.ranks();
  }
  ranks.resize(world_size);
  std::sort(by_node_.begin(), by_node_.end(),
            [this](uint32_t a, uint32_t b) { return shares[a].node < shares[b].node; });
}

void Attempt::Unplace() {
  // `= {}` would keep the memory, and a job of 15,000 ranks may have thousands of attempts.
  shares = std::vector<Share>();
  ranks = std::vector<SeenRank>();
  by_node_ = std::vector<uint32_t>();
  gang_order = std::string();
}

Share* Attempt::ShareOf(const NodeId& node) {
  const auto at = std::lower_bound(
      by_node_.begin(), by_node_.end(), node,
      [this](uint32_t index, const NodeId& name) { return shares[index].node < name; });
  return at != by_node_.end() && shares[*at].node == node ? &shares[*at] : nullptr;
}

bool Attempt::can_reform() const {
  bool some = false;
  for (const SeenRank& rank : ranks) {
    if (rank.counted == v1::RANK_STATE_EXITED) continue;
    if (!rank.can_reform) return false;
    some = true;
  }
  return some;
}

void Attempt::MarkLost(Share& share) {
  if (!share.done()) ++shares_done;
  share.lost = true;
}

void Attempt::NoteStill(SeenRank& one, const v1::RankReport& rank) {
  one.still_ms = rank.state() == v1::RANK_STATE_EXITED ? 0 : rank.still_ms();
  one.process_state = rank.process_state();
  one.collective.reset();
  if (rank.collectives_size() > 0) one.collective = rank.collectives(0);
  const bool judged = rank.progress().updates() > 0 || rank.state() == v1::RANK_STATE_SPAWNED;
  const bool still = still_limit_ms > 0 && judged && one.still_ms >= still_limit_ms;
  if (still != one.still) ranks_still += still ? 1 : static_cast<uint32_t>(-1);
  one.still = still;
}

std::vector<RankFailure> Attempt::Observe(Share& share, const v1::AttemptReport& report) {
  share.reported = true;
  share.saves_told = std::max(share.saves_told, report.save());
  std::vector<RankFailure> failures;
  for (const v1::RankReport& rank : report.ranks()) {
    if (rank.rank() >= ranks.size()) continue;
    if (rank.rank() == 0 && rank.progress().updates() >= progress.updates()) {
      progress = rank.progress();
    }
    SeenRank& one = ranks[rank.rank()];
    one.reported = true;
    one.pid = rank.pid();
    one.state = rank.state();
    one.phase = rank.progress().phase();
    one.step = rank.progress().step();
    one.can_reform = rank.can_reform();
    NoteStill(one, rank);
    v1::RankState& seen = one.counted;
    const v1::RankState now = rank.error().empty() ? rank.state() : v1::RANK_STATE_EXITED;
    if (seen == v1::RANK_STATE_EXITED || now <= seen) continue;
    const bool was_up = seen >= v1::RANK_STATE_RUNNING;
    seen = now;
    if (now >= v1::RANK_STATE_RUNNING && !was_up) ++ranks_up;
    if (now != v1::RANK_STATE_EXITED) continue;
    ++share.exited;
    if (rank.stopped_by_us()) continue;
    if (!Failed(rank)) {
      ++ranks_clean;
    } else if (!stopping() || rank.exit_code() != kExitStopped) {
      failures.push_back({share.node, rank});
    }
  }
  if (report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED && !share.stopped) {
    if (!share.done()) ++shares_done;
    share.stopped = true;
  }
  std::stable_sort(failures.begin(), failures.end(),
                   [](const RankFailure& left, const RankFailure& right) {
                     return ExitTime(left.report) < ExitTime(right.report);
                   });
  return failures;
}

bool StopsGracefully(v1::AttemptOutcome outcome) {
  switch (outcome) {
    case v1::ATTEMPT_OUTCOME_CANCELLED:
    case v1::ATTEMPT_OUTCOME_DRAINED:
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_REQUEUED:
    case v1::ATTEMPT_OUTCOME_RESIZED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
      return true;
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return false;
}

bool MayCommit(v1::AttemptState state, v1::AttemptOutcome outcome) {
  switch (state) {
    case v1::ATTEMPT_STATE_STARTING:
    case v1::ATTEMPT_STATE_RUNNING:
      return true;
    case v1::ATTEMPT_STATE_STOPPING:
      return StopsGracefully(outcome) || outcome == v1::ATTEMPT_OUTCOME_SUCCEEDED;
    case v1::ATTEMPT_STATE_ENDED:
    case v1::ATTEMPT_STATE_UNSPECIFIED:
    case v1::AttemptState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptState_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return false;
}

}  // namespace muster::coordinator::core
