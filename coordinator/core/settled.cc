#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

bool StillBegins(const v1::Progress& progress) {
  return progress.updates() > 0 &&
         (progress.phase() == v1::PHASE_INIT || progress.phase() == v1::PHASE_LOAD);
}

}  // namespace

void CheckSettled(Turn& turn) {
  ClusterState& state = turn.state();
  while (const auto id = state.settling.Take(turn.now())) {
    const Job& job = *state.jobs.Find(*id);
    const Attempt* attempt = job.LiveAttempt();
    if (attempt == nullptr || !attempt->good() || !job.TellsNoSteps() ||
        attempt->facts.caught_up_unix_ms() != 0) {
      continue;
    }
    // After a restart of the coordinator its ranks must have been heard of again.
    if (attempt->ranks_up < attempt->ranks.size() || StillBegins(attempt->progress)) {
      state.settling.Set(*id, turn.now() + state.options.settled_after);
      continue;
    }
    v1::Record record;
    v1::AttemptMilestone* reached = record.mutable_attempt_milestone();
    reached->set_job_id(id->value());
    reached->set_attempt(attempt->facts.number());
    reached->set_step(attempt->progress.first_step());
    reached->set_caught_up(true);
    reached->set_since_unix_ms(attempt->facts.running_unix_ms());
    turn.Record(std::move(record));
  }
}

}  // namespace muster::coordinator::core
