// What keeps a running job from saving as it should: recorded when the first of its ranks says so,
// and when none says so any more. What a trouble is called, step by step, is the ranks' business.
#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

v1::Record RecordOf(const Job& job, const Attempt& attempt, const v1::SaveTrouble& trouble) {
  v1::Record record;
  v1::SaveTroubleSet* set = record.mutable_save_trouble_set();
  set->set_job_id(job.id.value());
  set->set_attempt(attempt.facts.number());
  *set->mutable_trouble() = trouble;
  return record;
}

// Counts what each rank of the report has. Those that ended have nothing to say any more, and what
// they said last stays.
void Count(Attempt& attempt, const v1::AttemptReport& report) {
  for (const v1::RankReport& rank : report.ranks()) {
    if (rank.rank() >= attempt.ranks.size() || rank.state() == v1::RANK_STATE_EXITED) continue;
    SeenRank& seen = attempt.ranks[rank.rank()];
    const uint32_t before = seen.save_troubles;
    seen.save_troubles = 0;
    for (const v1::SaveTrouble& trouble : rank.save_troubles()) {
      if (v1::SaveTroubleKind_IsValid(trouble.kind())) seen.save_troubles |= 1u << trouble.kind();
    }
    for (int kind = 1; kind < v1::SaveTroubleKind_ARRAYSIZE; ++kind) {
      const bool had = (before >> kind & 1) != 0, has = (seen.save_troubles >> kind & 1) != 0;
      if (has && !had) ++attempt.ranks_in_trouble[static_cast<size_t>(kind)];
      if (had && !has) --attempt.ranks_in_trouble[static_cast<size_t>(kind)];
    }
  }
}

void RecordNew(Turn& turn, const Job& job, const Attempt& attempt,
               const v1::AttemptReport& report) {
  for (const v1::RankReport& rank : report.ranks()) {
    if (rank.rank() >= attempt.ranks.size() || rank.state() == v1::RANK_STATE_EXITED) continue;
    for (const v1::SaveTrouble& trouble : rank.save_troubles()) {
      if (trouble.kind() == v1::SAVE_TROUBLE_KIND_UNSPECIFIED ||
          !v1::SaveTroubleKind_IsValid(trouble.kind()) || job.save_troubles.count(trouble.kind())) {
        continue;
      }
      v1::SaveTrouble since_now = trouble;
      since_now.set_since_unix_ms(turn.now_ms());
      turn.Record(RecordOf(job, attempt, since_now));
    }
  }
}

}  // namespace

void TakeSaveTroubles(Turn& turn, Job& job, Attempt& attempt, const v1::AttemptReport& report) {
  Count(attempt, report);
  if (!MayCommit(attempt.facts.state(), attempt.facts.outcome())) return;
  RecordNew(turn, job, attempt, report);
  // A coordinator that was started again has not heard of every rank yet.
  if (attempt.ranks_up < attempt.ranks.size()) return;
  const std::map<int, v1::SaveTrouble> known = job.save_troubles;
  for (const auto& [kind, trouble] : known) {
    if (attempt.ranks_in_trouble[static_cast<size_t>(kind)] > 0) continue;
    v1::Record record = RecordOf(job, attempt, trouble);
    record.mutable_save_trouble_set()->set_over(true);
    turn.Record(std::move(record));
  }
}

}  // namespace muster::coordinator::core
