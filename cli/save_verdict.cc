#include "cli/save_verdict.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/exit_codes.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

std::string WhyNever(const SaveAsked& asked, const v1::Job& job, const v1::Attempt& attempt) {
  std::string why = fmt::format("attempt {} ended before it had saved", asked.attempt);
  if (!attempt.cause().text().empty()) why += ": " + Printable(attempt.cause().text());
  if (IsEnded(job.state())) {
    return why + fmt::format("; the job {}, see what it saved: muster ckpt list {}",
                             spec::EnumWord(job.state()), job.id());
  }
  return why + fmt::format("; ask again once it runs: muster wait {} --for running", job.id());
}

}  // namespace

std::optional<SaveAsked> NewestSaveAsked(const v1::Job& job) {
  const auto attempt = std::find_if(job.attempts().rbegin(), job.attempts().rend(),
                                    [](const auto& one) { return one.saves_asked() > 0; });
  if (attempt == job.attempts().rend()) return std::nullopt;
  return SaveAsked{attempt->number(), attempt->save_asked_unix_ms(), attempt->save_asked_step()};
}

SaveVerdict JudgeSave(const SaveAsked& asked, const v1::Job& job) {
  const auto attempt =
      std::find_if(job.attempts().begin(), job.attempts().end(),
                   [&](const v1::Attempt& one) { return one.number() == asked.attempt; });
  const bool known = attempt != job.attempts().end();
  const bool over = known && attempt->state() == v1::ATTEMPT_STATE_ENDED;
  SaveVerdict verdict;
  for (const v1::CheckpointRef& ref : job.checkpoints()) {
    if (!ref.committed() || ref.bad() || ref.step() < asked.step) continue;
    const bool since = ref.time_unix_ms() >= asked.unix_ms;
    if (!since && !(over && ref.attempt() == asked.attempt)) continue;
    if (verdict.kind == SaveVerdict::Kind::kSaved && ref.step() <= verdict.saved.step()) continue;
    verdict.kind = SaveVerdict::Kind::kSaved;
    verdict.saved = ref;
  }
  if (verdict.kind == SaveVerdict::Kind::kNotYet && over) {
    verdict.kind = SaveVerdict::Kind::kNever;
    verdict.why = WhyNever(asked, job, *attempt);
  }
  return verdict;
}

}  // namespace muster::cli
