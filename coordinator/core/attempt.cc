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

Share* Attempt::ShareOf(const NodeId& node) {
  for (Share& share : shares) {
    if (share.node == node) return &share;
  }
  return nullptr;
}

void Attempt::MarkLost(Share& share) {
  if (!share.done()) ++shares_done;
  share.lost = true;
}

void Attempt::SeeRank(const Share& share, const v1::RankReport& rank) {
  const auto after = [](const v1::RankStatus& status, uint32_t number) {
    return status.rank() < number;
  };
  auto at = std::lower_bound(seen_ranks.begin(), seen_ranks.end(), rank.rank(), after);
  if (at == seen_ranks.end() || at->rank() != rank.rank()) at = seen_ranks.emplace(at);
  at->set_rank(rank.rank());
  at->set_node(share.node.value());
  at->set_pid(rank.pid());
  at->set_state(rank.state());
  at->set_phase(rank.progress().phase());
  at->set_step(rank.progress().step());
}

std::optional<RankFailure> Attempt::Observe(Share& share, const v1::AttemptReport& report) {
  share.reported = true;
  std::optional<RankFailure> first;
  for (const v1::RankReport& rank : report.ranks()) {
    if (rank.rank() >= ranks.size()) continue;
    if (rank.rank() == 0 && rank.progress().updates() >= progress.updates()) {
      progress = rank.progress();
    }
    SeeRank(share, rank);
    v1::RankState& seen = ranks[rank.rank()];
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
      if (!first || ExitTime(rank) < ExitTime(first->report)) first = {share.node, rank};
    }
  }
  if (report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED && !share.stopped) {
    if (!share.done()) ++shares_done;
    share.stopped = true;
  }
  return first;
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
