#include "worker/shim/local_attempt.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace muster::worker::shim {

LocalAttempt::LocalAttempt(uint64_t job_id, uint64_t attempt, const std::vector<uint32_t>& ranks,
                           bool speaks_link)
    : job_id_(job_id), attempt_(attempt), speaks_link_(speaks_link) {
  for (uint32_t rank : ranks) {
    ranks_.emplace_back();
    ranks_.back().rank = rank;
  }
}

LocalAttempt::Rank& LocalAttempt::Find(uint32_t rank) {
  for (Rank& entry : ranks_) {
    if (entry.rank == rank) return entry;
  }
  CHECK(false, "rank {} is not on this node", rank);
  return ranks_.front();
}

void LocalAttempt::Spawned(uint32_t rank, int64_t pid, int64_t now_ms) {
  Rank& entry = Find(rank);
  entry.state = v1::RANK_STATE_SPAWNED;
  entry.pid = pid;
  entry.spawned_ms = now_ms;
  ++revision_;
}

void LocalAttempt::NotSpawned(uint32_t rank, const std::string& error, int64_t unix_us) {
  Rank& entry = Find(rank);
  entry.state = v1::RANK_STATE_EXITED;
  entry.exit_code = 127;
  entry.exit_unix_us = unix_us;
  entry.error = error;
  failed_ = true;
  ++revision_;
}

void LocalAttempt::Skipped(uint32_t rank, int64_t unix_us) {
  Rank& entry = Find(rank);
  entry.state = v1::RANK_STATE_EXITED;
  entry.stopped_by_us = true;
  entry.exit_unix_us = unix_us;
  ++revision_;
}

void LocalAttempt::SaidHello(uint32_t rank) {
  Rank& entry = Find(rank);
  entry.said_hello = true;
  if (entry.state == v1::RANK_STATE_SPAWNED) {
    entry.state = v1::RANK_STATE_RUNNING;
    ++revision_;
  }
}

void LocalAttempt::Exited(uint32_t rank, int exit_code, int signal, int64_t unix_us,
                          std::vector<std::string> last_lines) {
  Rank& entry = Find(rank);
  if (entry.state == v1::RANK_STATE_EXITED) return;
  entry.state = v1::RANK_STATE_EXITED;
  entry.exit_code = exit_code;
  entry.signal = signal;
  entry.exit_unix_us = unix_us;
  entry.last_lines = std::move(last_lines);
  const bool as_asked = signal == 0 && (exit_code == 0 || exit_code == kStoppedAsAskedExitCode);
  const bool well = signal == 0 && exit_code == 0;
  entry.stopped_by_us = !well && (entry.killed || entry.terminated || (as_asked && stop_ordered_));
  if (!as_asked && !entry.stopped_by_us) failed_ = true;
  ++revision_;
}

void LocalAttempt::StopOrdered(int64_t grace_ms, int64_t now_ms) {
  // A later order may shorten the grace, never lengthen it: orders are repeated.
  stop_ordered_ = true;
  kill_at_ms_ = std::min(kill_at_ms_, now_ms + std::max<int64_t>(grace_ms, 0));
}

void LocalAttempt::NoProcessLeft() {
  if (stopped_) return;
  stopped_ = true;
  ++revision_;
}

bool LocalAttempt::AllExited() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const Rank& rank) { return rank.state == v1::RANK_STATE_EXITED; });
}

Actions LocalAttempt::Decide(int64_t now_ms) {
  Actions actions;
  const bool kill_all = failed_ || (stop_ordered_ && now_ms >= kill_at_ms_);
  if (stop_ordered_ && !kill_all) {
    actions.raise_stop = !std::exchange(stop_raised_, true);
    actions.next_ms = std::min(actions.next_ms, kill_at_ms_);
  }
  for (Rank& rank : ranks_) {
    const bool lives = rank.state == v1::RANK_STATE_SPAWNED || rank.state == v1::RANK_STATE_RUNNING;
    if (!lives) continue;
    if (kill_all) {
      if (!std::exchange(rank.killed, true)) actions.kill.push_back(rank.rank);
      continue;
    }
    if (stop_ordered_ && !rank.said_hello && !std::exchange(rank.terminated, true)) {
      actions.terminate.push_back(rank.rank);
    }
    if (!speaks_link_ && rank.state == v1::RANK_STATE_SPAWNED) {
      if (now_ms - rank.spawned_ms >= kRunningAfterMs) {
        rank.state = v1::RANK_STATE_RUNNING;
        ++revision_;
      } else {
        actions.next_ms = std::min(actions.next_ms, rank.spawned_ms + kRunningAfterMs);
      }
    }
  }
  actions.sweep = AllExited() && !stopped_;
  return actions;
}

v1::AttemptReport LocalAttempt::Report() const {
  v1::AttemptReport report;
  report.set_job_id(job_id_);
  report.set_attempt(attempt_);
  report.set_state(stopped_ ? v1::LOCAL_ATTEMPT_STATE_STOPPED : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  for (const Rank& rank : ranks_) {
    v1::RankReport* out = report.add_ranks();
    out->set_rank(rank.rank);
    out->set_state(rank.state);
    out->set_pid(rank.pid);
    out->set_exit_code(rank.exit_code);
    out->set_signal(rank.signal);
    out->set_stopped_by_us(rank.stopped_by_us);
    out->set_exit_unix_us(rank.exit_unix_us);
    out->set_error(rank.error);
    for (const std::string& line : rank.last_lines) out->add_last_lines(line);
  }
  return report;
}

void LocalAttempt::AddSilence(int64_t now_ms, v1::AttemptReport* report) const {
  if (!speaks_link_) return;
  for (int i = 0; i < report->ranks_size(); ++i) {
    const Rank& rank = ranks_[static_cast<size_t>(i)];
    const int64_t silent_ms = now_ms - rank.spawned_ms;
    if (rank.state == v1::RANK_STATE_SPAWNED && silent_ms >= kSilentFromMs) {
      report->mutable_ranks(i)->set_still_ms(silent_ms);
    }
  }
}

}  // namespace muster::worker::shim
