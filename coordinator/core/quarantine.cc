#include "coordinator/core/quarantine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/duration.h"

namespace muster::coordinator::core {
namespace {

constexpr double kHintWeight = 0.5;      // of a signal or an exit code
constexpr double kConfident = 0.5;       // less, and the machine is only hinted at
constexpr double kEachFurtherJob = 0.5;  // how much worse several jobs make it
constexpr size_t kJobsCountedMax = 5;
constexpr size_t kStreaksKept = 4096;

// Part of an event that is known already?
bool SameEvent(const Fault& known, const Fault& fault, const QuarantineOptions& options) {
  if (known.kind == Fault::Kind::kProgram || fault.kind == Fault::Kind::kProgram) return false;
  if (!known.taken_back.empty()) return false;
  // A node that is lost twice came back in between.
  if (known.kind == Fault::Kind::kLost && fault.kind == Fault::Kind::kLost) return false;
  if (fault.incident != 0 && known.incident == fault.incident) return true;
  const bool soon = fault.unix_ms - known.unix_ms <= absl::ToInt64Milliseconds(options.one_event);
  // The same job again, so soon, is another event: its ranks ran in between.
  return soon && known.group != fault.group;
}

double Faded(const Fault& fault, int64_t unix_ms, const QuarantineOptions& options) {
  const double age_ms = static_cast<double>(std::max<int64_t>(0, unix_ms - fault.unix_ms));
  return fault.weight * std::exp2(-age_ms / absl::ToDoubleMilliseconds(options.half_life));
}

template <typename Entry>
void KeepNewest(std::vector<Entry>& entries) {
  if (entries.size() > kFaultsKept) entries.erase(entries.begin());
}

// Evidence of the machine itself, and not only of how a rank ended there: the same job may end so
// again and again.
bool SeenOnMachine(const v1::AttemptStopping& stopping) {
  if (stopping.confidence() < kConfident) return false;
  if (!stopping.cause().has_rank()) return true;
  return std::any_of(
      stopping.evidence().begin(), stopping.evidence().end(), [](const v1::Evidence& one) {
        return one.role() == v1::EVIDENCE_ROLE_ROOT && one.kind() == v1::EVIDENCE_KIND_DEVICE_ERROR;
      });
}

bool IsFailure(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

}  // namespace

std::optional<Accusation> AccusationOf(const v1::AttemptStopping& stopping) {
  if (!IsFailure(stopping.outcome()) || stopping.cause().node().empty()) return std::nullopt;
  switch (stopping.blame()) {
    case v1::BLAME_CHECKPOINT:
      return std::nullopt;
    case v1::BLAME_PROGRAM:
      return Accusation{Fault::Kind::kProgram, kHintWeight};
    case v1::BLAME_MACHINE:
      if (!SeenOnMachine(stopping)) {
        return Accusation{Fault::Kind::kHint, std::max(kHintWeight, stopping.confidence())};
      }
      return Accusation{stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST ? Fault::Kind::kLost
                                                                            : Fault::Kind::kMachine,
                        stopping.confidence()};
    case v1::BLAME_UNSPECIFIED:
    case v1::Blame_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Blame_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  if (stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    return Accusation{Fault::Kind::kLost, kLostWeight};
  }
  const v1::FailureCause& cause = stopping.cause();
  const bool exited = cause.has_rank() && cause.signal() == 0;
  return Accusation{exited ? Fault::Kind::kProgram : Fault::Kind::kHint, kHintWeight};
}

void AddFault(NodeHealth& health, Fault fault, const QuarantineOptions& options) {
  if (health.quarantine == v1::QUARANTINE_PROBATION) fault.weight *= 2;
  for (auto known = health.faults.rbegin(); known != health.faults.rend(); ++known) {
    if (!SameEvent(*known, fault, options)) continue;
    known->weight = std::max(known->weight, fault.weight);
    if (fault.strong() && !known->strong()) {
      known->kind = fault.kind;
      known->text = fault.text;
    }
    if (known->incident == 0) known->incident = fault.incident;
    for (const uint64_t job : fault.jobs) {
      if (std::find(known->jobs.begin(), known->jobs.end(), job) == known->jobs.end()) {
        known->jobs.push_back(job);
      }
    }
    return;
  }
  health.faults.push_back(std::move(fault));
  KeepNewest(health.faults);
}

std::vector<double> Counts(const NodeHealth& health, int64_t unix_ms,
                           const QuarantineOptions& options) {
  const std::vector<Fault>& faults = health.faults;
  std::vector<double> counts(faults.size());
  std::set<uint64_t> groups;
  std::map<uint64_t, size_t> hint;  // of each group the one that counts: a signal, the newest
  for (size_t i = 0; i < faults.size(); ++i) {
    if (!faults[i].taken_back.empty()) continue;
    groups.insert(faults[i].group);
    if (faults[i].strong()) {
      counts[i] = Faded(faults[i], unix_ms, options);
    } else {
      const auto [known, first] = hint.try_emplace(faults[i].group, i);
      if (first || faults[i].kind == Fault::Kind::kHint ||
          faults[known->second].kind == Fault::Kind::kProgram) {
        known->second = i;
      }
    }
  }
  for (const auto& [group, i] : hint) {
    if (faults[i].kind == Fault::Kind::kProgram && groups.size() < 2) continue;
    counts[i] = Faded(faults[i], unix_ms, options);
  }
  const size_t jobs = std::min(groups.size(), kJobsCountedMax);
  if (jobs < 2) return counts;
  for (double& count : counts) count *= 1 + kEachFurtherJob * static_cast<double>(jobs - 1);
  return counts;
}

double Score(const NodeHealth& health, int64_t unix_ms, const QuarantineOptions& options) {
  double sum = 0;
  for (const double count : Counts(health, unix_ms, options)) sum += count;
  return sum;
}

std::string ScoreText(const NodeHealth& health, int64_t unix_ms, const QuarantineOptions& options) {
  const std::vector<double> counts = Counts(health, unix_ms, options);
  size_t incidents = 0;
  std::set<uint64_t> jobs;
  const Fault* oldest = nullptr;
  const Fault* newest = nullptr;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] <= 0) continue;
    ++incidents;
    jobs.insert(health.faults[i].jobs.begin(), health.faults[i].jobs.end());
    if (oldest == nullptr) oldest = &health.faults[i];
    newest = &health.faults[i];
  }
  if (newest == nullptr) return "no incident";
  const bool at_once = unix_ms - oldest->unix_ms < 1000;
  const std::string span =
      incidents == 1 || at_once
          ? ""
          : " in " + DurationText(absl::Milliseconds(unix_ms - oldest->unix_ms));
  const std::string of = jobs.size() < 2 ? "" : fmt::format(" of {} jobs", jobs.size());
  const std::string number =
      newest->incident == 0 ? "" : fmt::format(" (incident {})", newest->incident);
  return fmt::format("{} incident{}{}{}, newest: {}{}", incidents, incidents == 1 ? "" : "s", of,
                     span, newest->text, number);
}

void TakeBack(NodeHealth& health, uint64_t program, bool all, const std::string& why) {
  for (Fault& fault : health.faults) {
    if (fault.program != program || (fault.strong() && !all)) continue;
    if (fault.taken_back.empty()) fault.taken_back = why;
  }
}

void Vouch(NodeHealth& health, const std::string& why) {
  for (Fault& fault : health.faults) {
    if (!fault.strong() && fault.taken_back.empty()) fault.taken_back = why;
  }
}

bool Streaks::Failed(uint64_t program, const std::string& way, const NodeId& node,
                     int64_t unix_ms) {
  if (streaks_.size() >= kStreaksKept && streaks_.count(program) == 0) {
    streaks_.erase(std::min_element(
        streaks_.begin(), streaks_.end(),
        [](const auto& a, const auto& b) { return a.second.unix_ms < b.second.unix_ms; }));
  }
  Streak& streak = streaks_[program];
  if (streak.way != way) streak = {way, {}, 0};
  streak.unix_ms = unix_ms;
  return streak.nodes.insert(node).second;
}

void Streaks::Withdraw(uint64_t program, const NodeId& node) {
  const auto streak = streaks_.find(program);
  if (streak != streaks_.end()) streak->second.nodes.erase(node);
}

const std::set<NodeId>& Streaks::Nodes(uint64_t program) const {
  return streaks_.at(program).nodes;
}

std::set<NodeId> Streaks::NodesWith(uint64_t program, const std::string& way,
                                    const NodeId& node) const {
  std::set<NodeId> nodes;
  const auto streak = streaks_.find(program);
  if (streak != streaks_.end() && streak->second.way == way) nodes = streak->second.nodes;
  nodes.insert(node);
  return nodes;
}

void Streaks::Progressed(uint64_t program) { streaks_.erase(program); }

std::string WayOf(const v1::AttemptStopping& stopping) {
  if (stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) return "node lost";
  const v1::FailureCause& cause = stopping.cause();
  if (!cause.has_rank()) return "no rank";
  if (cause.signal() != 0) return fmt::format("signal {}", cause.signal());
  return fmt::format("exit {}", cause.exit_code());
}

uint64_t ProgramOf(const v1::JobSpec& spec) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const std::string& part :
       {spec.program().SerializeAsString(), spec.train().SerializeAsString()}) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0x1ff) * 0x100000001b3;
  }
  return hash;
}

std::optional<v1::Quarantine> NextQuarantine(const QuarantineFacts& facts, QuarantineInput input) {
  const v1::Quarantine now = facts.now;
  const bool kept = now == v1::QUARANTINE_COOLING || now == v1::QUARANTINE_TESTING;
  switch (input) {
    case QuarantineInput::kGuilty:
      if (kept) return std::nullopt;
      if (facts.room) return v1::QUARANTINE_COOLING;
      if (now == v1::QUARANTINE_ADVISED) return std::nullopt;
      return v1::QUARANTINE_ADVISED;
    case QuarantineInput::kCleared:
      if (now == v1::QUARANTINE_ADVISED) return v1::QUARANTINE_NONE;
      if (kept && !facts.by_person) return v1::QUARANTINE_NONE;
      return std::nullopt;
    case QuarantineInput::kTimeUp:
      if (now == v1::QUARANTINE_COOLING && !facts.endless) return v1::QUARANTINE_TESTING;
      if (now == v1::QUARANTINE_PROBATION) return v1::QUARANTINE_NONE;
      return std::nullopt;
    case QuarantineInput::kTestPassed:
      if (now != v1::QUARANTINE_TESTING) return std::nullopt;
      if (facts.before_test == v1::QUARANTINE_NONE) return v1::QUARANTINE_NONE;
      if (facts.before_test == v1::QUARANTINE_COOLING && facts.endless) {
        return v1::QUARANTINE_COOLING;
      }
      return v1::QUARANTINE_PROBATION;
    case QuarantineInput::kTestFailed:
      if (now != v1::QUARANTINE_TESTING) return std::nullopt;
      return v1::QUARANTINE_COOLING;
    case QuarantineInput::kPersonCools:
      return v1::QUARANTINE_COOLING;
    case QuarantineInput::kPersonReleases:
      if (now == v1::QUARANTINE_NONE) return std::nullopt;
      return v1::QUARANTINE_NONE;
    case QuarantineInput::kPersonTests:
      if (now == v1::QUARANTINE_TESTING) return std::nullopt;
      return v1::QUARANTINE_TESTING;
  }
  return std::nullopt;
}

uint64_t QuarantineLimit(uint64_t nodes, const QuarantineOptions& options) {
  if (options.share <= 0 || nodes < 2) return 0;  // the last node works on
  return std::max<uint64_t>(1, static_cast<uint64_t>(options.share * static_cast<double>(nodes)));
}

absl::Duration CoolDown(const NodeHealth& health, int64_t unix_ms,
                        const QuarantineOptions& options) {
  absl::Duration span = options.cool_down;
  const int64_t since = unix_ms - absl::ToInt64Milliseconds(options.memory);
  for (const int64_t cooling : health.coolings) {
    if (cooling > since && span < options.cool_down_max) span *= 2;
  }
  return std::min(span, options.cool_down_max);
}

}  // namespace muster::coordinator::core
