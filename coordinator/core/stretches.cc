#include "coordinator/core/stretches.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "spec/checkpoints.h"

namespace muster::coordinator::core {
namespace {

constexpr double kSecondsMax = 1e11;  // 3,000 years: what is more was not measured

int64_t Milliseconds(double seconds) {
  if (!(seconds > 0)) return 0;  // NaN too
  return std::llround(std::min(seconds, kSecondsMax) * 1e3);
}

// value * part / whole, rounded down.
int64_t Portion(int64_t value, uint64_t part, uint64_t whole) {
  if (whole == 0) return 0;
  return static_cast<int64_t>(static_cast<__int128>(value) * static_cast<__int128>(part) /
                              static_cast<__int128>(whole));
}

bool Failed(const Attempt& attempt) {
  return attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
         attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

// What the attempt itself measured; live ones say it in their progress.
struct Measured {
  uint64_t first_step, last_step;
  int64_t steps, stragglers, saves, load;

  uint64_t step_count() const { return last_step - first_step; }
};

Measured MeasuredBy(const Attempt& attempt) {
  const auto read = [&](const auto& from, uint64_t last_step) {
    const uint64_t first_step = std::max(from.first_step(), attempt.facts.first_step());
    return Measured{.first_step = first_step,
                    .last_step = std::max(last_step, first_step),
                    .steps = Milliseconds(from.productive_seconds()),
                    .stragglers = Milliseconds(from.straggler_seconds()),
                    .saves = Milliseconds(from.checkpoint_seconds()),
                    .load = Milliseconds(from.load_seconds())};
  };
  return attempt.live() ? read(attempt.progress, attempt.progress.step())
                        : read(attempt.facts, attempt.facts.last_step());
}

// The steps of each attempt that are not in the model. What a later attempt resumed from is what of
// the earlier ones counts; where nobody has resumed yet, what was committed.
std::vector<uint64_t> StepsLost(const Job& job) {
  constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();
  const Attempt& newest = job.attempts.back();
  const bool over = !newest.live() && newest.facts.outcome() != v1::ATTEMPT_OUTCOME_SUCCEEDED;
  const bool trains = !over && !Failed(newest) && newest.facts.first_step_unix_ms() > 0;
  // A program may keep checkpoints we know nothing of.
  const bool known = spec::KeepsCheckpoints(job.spec) || job.committed_step > 0;
  uint64_t kept = !trains && known ? job.committed_step : kAll;
  std::vector<uint64_t> lost(job.attempts.size());
  for (size_t i = job.attempts.size(); i-- > 0;) {
    const Measured measured = MeasuredBy(job.attempts[i]);
    lost[i] = measured.last_step - std::clamp(kept, measured.first_step, measured.last_step);
    if (job.attempts[i].facts.first_step_unix_ms() > 0) kept = std::min(kept, measured.first_step);
  }
  return lost;
}

class Timeline {
 public:
  explicit Timeline(int64_t at) : at_(at) {}

  int64_t at() const { return at_; }

  // The next stretch, as long as its kinds say. Left out when nothing is in it.
  void Add(Stretch stretch) {
    stretch.from_ms = at_;
    for (const int64_t ms : stretch.ms) at_ += ms;
    stretch.until_ms = at_;
    if (at_ > stretch.from_ms || stretch.steps_lost > 0) stretches_.push_back(stretch);
  }
  void Add(v1::LedgerKind kind, int64_t ms, const Attempt* attempt, const Attempt* failure) {
    Stretch stretch{.attempt = attempt, .failure = failure};
    stretch.ms[kind] = ms;
    Add(stretch);
  }
  std::vector<Stretch> Take() { return std::move(stretches_); }

 private:
  int64_t at_;
  std::vector<Stretch> stretches_;
};

// The times of one attempt, in order.
struct Times {
  int64_t start = 0;
  int64_t known = 0;  // no step counts after it: failed since then, or the end
  int64_t stop = 0;   // told to stop, or the end
  int64_t end = 0;
};

Times TimesOf(const Attempt& attempt, int64_t from, int64_t limit) {
  Times times;
  times.start = std::clamp(attempt.facts.start_unix_ms(), from, limit);
  times.end = attempt.live() ? limit : std::clamp(attempt.facts.end_unix_ms(), times.start, limit);
  times.stop = attempt.stop_unix_ms == 0 ? times.end
                                         : std::clamp(attempt.stop_unix_ms, times.start, times.end);
  const int64_t since = attempt.facts.failed_since_unix_ms();
  if (!Failed(attempt)) {
    times.known = times.end;
  } else {
    times.known = since == 0 ? times.stop : std::clamp(since, times.start, times.stop);
  }
  return times;
}

// A program that says nothing of steps, while every rank runs.
bool IsSilent(const Job& job, const Attempt& attempt, const Measured& measured) {
  return job.spec.has_program() && attempt.facts.running_unix_ms() > 0 &&
         attempt.facts.first_step_unix_ms() == 0 && measured.steps == 0 &&
         !(attempt.live() && attempt.progress.updates() > 0);
}

// From the placement until it failed or ended. `repairs`: the failure it repairs, if it does.
void AddTraining(const Attempt& attempt, const Times& times, const Measured& measured,
                 uint64_t steps_lost, const Attempt* repairs, Timeline& line) {
  const int64_t span = times.known - times.start;
  const int64_t first_ms = attempt.facts.first_step_unix_ms();
  const bool stepped = first_ms > 0;
  const int64_t until_first =
      stepped ? std::clamp(first_ms, times.start, times.known) - times.start
              : std::max<int64_t>(0, std::min(times.stop, times.known) - times.start -
                                         std::min(span, measured.steps + measured.saves));
  const int64_t load = std::min(measured.load, until_first);
  const int64_t steps = std::min(measured.steps, span - load);
  const int64_t saves = std::min(measured.saves, span - load - steps);
  int64_t rest = span - load - steps - saves;
  // The first step is in `steps`; its length is not known, so that of a typical one is taken.
  const int64_t first_step = stepped ? Portion(steps, 1, measured.step_count()) : 0;
  const int64_t begin = std::min(std::max<int64_t>(0, until_first - load - first_step), rest);
  rest -= begin;
  const bool failed = Failed(attempt);
  const int64_t idle = failed ? 0 : std::min(rest, times.end - times.stop);
  const int64_t lost = Portion(steps, steps_lost, measured.step_count());
  const int64_t stragglers =
      Portion(std::min(measured.stragglers, steps), static_cast<uint64_t>(steps - lost),
              static_cast<uint64_t>(steps));

  line.Add(repairs != nullptr ? v1::LEDGER_KIND_RESTART : v1::LEDGER_KIND_STARTUP, begin, &attempt,
           repairs);
  line.Add(v1::LEDGER_KIND_CHECKPOINT_LOAD, load, &attempt, repairs);
  Stretch mixed{.attempt = &attempt};
  mixed.ms[v1::LEDGER_KIND_PRODUCTIVE] = steps - lost - stragglers;
  mixed.ms[v1::LEDGER_KIND_STRAGGLER] = stragglers;
  mixed.ms[v1::LEDGER_KIND_CHECKPOINT_STALL] = saves;
  mixed.ms[v1::LEDGER_KIND_OVERHEAD] = rest - idle;
  line.Add(mixed);
  Stretch again{
      .attempt = &attempt, .failure = failed ? &attempt : nullptr, .steps_lost = steps_lost};
  again.ms[v1::LEDGER_KIND_RECOMPUTE] = lost;
  line.Add(again);
  line.Add(v1::LEDGER_KIND_IDLE, idle, &attempt, nullptr);
}

void AddSilent(const Attempt& attempt, const Times& times, const Attempt* repairs, Timeline& line) {
  const int64_t until = std::min(times.stop, times.known);
  const int64_t running = std::clamp(attempt.facts.running_unix_ms(), times.start, until);
  line.Add(repairs != nullptr ? v1::LEDGER_KIND_RESTART : v1::LEDGER_KIND_STARTUP,
           running - times.start, &attempt, repairs);
  line.Add(v1::LEDGER_KIND_PRODUCTIVE, until - running, &attempt, nullptr);
  line.Add(v1::LEDGER_KIND_IDLE, times.known - until, &attempt, nullptr);
}

}  // namespace

std::vector<Stretch> StretchesOf(const Job& job, int64_t now_ms) {
  if (job.attempts.empty()) return {};
  const int64_t begin = job.attempts.front().facts.start_unix_ms();
  const int64_t limit = std::max(begin, job.ended() ? job.end_unix_ms : now_ms);
  const std::vector<uint64_t> lost = StepsLost(job);
  Timeline line(begin);
  const Attempt* repairs = nullptr;
  for (size_t i = 0; i < job.attempts.size(); ++i) {
    const Attempt& attempt = job.attempts[i];
    const Times times = TimesOf(attempt, line.at(), limit);
    line.Add(v1::LEDGER_KIND_WAITING, times.start - line.at(), nullptr, nullptr);
    const Measured measured = MeasuredBy(attempt);
    const bool silent = IsSilent(job, attempt, measured);
    if (silent) {
      AddSilent(attempt, times, repairs, line);
    } else {
      AddTraining(attempt, times, measured, lost[i], repairs, line);
    }
    if (silent || attempt.facts.first_step_unix_ms() > 0) repairs = nullptr;
    if (!Failed(attempt)) continue;
    line.Add(attempt.facts.hung() ? v1::LEDGER_KIND_HANG : v1::LEDGER_KIND_DETECT,
             times.stop - times.known, &attempt, &attempt);
    line.Add(v1::LEDGER_KIND_RESTART, times.end - times.stop, &attempt, &attempt);
    repairs = &attempt;
  }
  line.Add(v1::LEDGER_KIND_WAITING, limit - line.at(), nullptr, nullptr);
  return line.Take();
}

KindMs PartOf(const Stretch& stretch, int64_t since_ms, int64_t until_ms) {
  if (since_ms <= stretch.from_ms && stretch.until_ms <= until_ms) return stretch.ms;
  // Kind by kind takes its share of what is left: each grows with the time, none goes back.
  const auto up_to = [&](int64_t time_ms) {
    KindMs part = {};
    int64_t left = std::clamp(time_ms, stretch.from_ms, stretch.until_ms) - stretch.from_ms;
    int64_t whole = stretch.until_ms - stretch.from_ms;
    for (size_t kind = 0; kind < part.size() && whole > 0; ++kind) {
      part[kind] =
          Portion(stretch.ms[kind], static_cast<uint64_t>(left), static_cast<uint64_t>(whole));
      left -= part[kind];
      whole -= stretch.ms[kind];
    }
    return part;
  };
  const KindMs before = up_to(since_ms);
  KindMs part = up_to(std::max(since_ms, until_ms));
  for (size_t kind = 0; kind < part.size(); ++kind) part[kind] -= before[kind];
  return part;
}

}  // namespace muster::coordinator::core
