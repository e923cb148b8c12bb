// Workers and their ranks as the simulation of the core plays them.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

struct FakeAttempt {
  std::vector<uint32_t> ranks;
  uint64_t step = 0;
  uint64_t first_step = 0;
  uint64_t save = 0;  // the newest order to save
  bool finished = false;
  bool killed = false;   // by an order
  int failed_rank = -1;  // died by itself; takes the others along
};

using Key = std::pair<uint64_t, uint64_t>;

struct FakeWorker {
  uint64_t incarnation = 1;
  bool up = true;
  SessionId session;                             // 0 = not connected
  absl::Time away_until = absl::InfinitePast();  // cut off; its ranks run on
  std::map<Key, FakeAttempt> attempts;
};

inline bool Stopped(const FakeAttempt& attempt) {
  return attempt.killed || attempt.finished || attempt.failed_rank >= 0;
}

inline v1::AttemptReport ReportOf(const Key& key, const FakeAttempt& attempt) {
  v1::AttemptReport report;
  report.set_job_id(key.first);
  report.set_attempt(key.second);
  report.set_state(Stopped(attempt) ? v1::LOCAL_ATTEMPT_STATE_STOPPED
                                    : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  report.set_save(attempt.save);
  for (const uint32_t number : attempt.ranks) {
    v1::RankReport* rank = report.add_ranks();
    rank->set_rank(number);
    rank->set_state(Stopped(attempt) ? v1::RANK_STATE_EXITED : v1::RANK_STATE_RUNNING);
    if (!attempt.finished && Stopped(attempt)) {
      rank->set_signal(9);
      rank->set_stopped_by_us(static_cast<int>(number) != attempt.failed_rank);
    }
    rank->mutable_progress()->set_step(attempt.step);
    rank->mutable_progress()->set_first_step(attempt.first_step);
    rank->mutable_progress()->set_updates(attempt.step + 1);
  }
  return report;
}

}  // namespace muster::coordinator::core
