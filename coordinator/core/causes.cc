#include "coordinator/core/causes.h"

#include <fmt/format.h>

#include <csignal>

namespace muster::coordinator::core {
namespace {

std::string SignalName(int number) {
  switch (number) {
    case SIGHUP:
      return "SIGHUP";
    case SIGINT:
      return "SIGINT";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGILL:
      return "SIGILL";
    case SIGTRAP:
      return "SIGTRAP";
    case SIGABRT:
      return "SIGABRT";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGKILL:
      return "SIGKILL";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGSEGV:
      return "SIGSEGV";
    case SIGUSR2:
      return "SIGUSR2";
    case SIGPIPE:
      return "SIGPIPE";
    case SIGALRM:
      return "SIGALRM";
    case SIGTERM:
      return "SIGTERM";
    case SIGXCPU:
      return "SIGXCPU";
    default:
      return fmt::format("signal {}", number);
  }
}

// Where in its life the rank was. Progress counts finished steps, so it died in the next one.
std::string WhereText(const v1::Progress& progress, v1::AttemptState state) {
  switch (progress.phase()) {
    case v1::PHASE_INIT:
      return " at start";
    case v1::PHASE_LOAD:
      return " while loading";
    case v1::PHASE_STEP:
      return fmt::format(" in step {}", progress.step() + 1);
    case v1::PHASE_SAVE:
      return fmt::format(" while saving step {}", progress.step());
    case v1::PHASE_EVAL:
      return fmt::format(" while evaluating step {}", progress.step());
    case v1::PHASE_IDLE:
      return fmt::format(" after step {}", progress.step());
    case v1::PHASE_UNSPECIFIED:
    case v1::Phase_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Phase_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return state == v1::ATTEMPT_STATE_STARTING ? " at start" : "";
}

// The worker killed what was left of it, or found nothing left; nobody saw it end.
bool DiedWithItsShim(const v1::RankReport& rank) {
  return !rank.error().empty() && rank.signal() != 0;
}

std::string HowText(const v1::RankReport& rank, v1::AttemptState state) {
  if (DiedWithItsShim(rank)) return " is gone: " + rank.error();
  if (!rank.error().empty()) return " could not be started: " + rank.error();
  const std::string where = WhereText(rank.progress(), state);
  if (rank.signal() != 0) return fmt::format(" killed by {}{}", SignalName(rank.signal()), where);
  return fmt::format(" exited {}{}", rank.exit_code(), where);
}

std::string LastLine(const v1::FailureCause& cause) {
  for (int i = cause.last_lines_size() - 1; i >= 0; --i) {
    const std::string& line = cause.last_lines(i);
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) return line;
  }
  return "";
}

}  // namespace

uint64_t StepOf(const v1::Progress& progress) {
  return progress.phase() == v1::PHASE_STEP ? progress.step() + 1 : progress.step();
}

v1::Evidence EvidenceOf(const RankFailure& failure, v1::AttemptState state, int64_t seen_unix_ms) {
  const v1::RankReport& rank = failure.report;
  v1::Evidence evidence;
  evidence.set_kind(DiedWithItsShim(rank)   ? v1::EVIDENCE_KIND_SHIM_DIED
                    : !rank.error().empty() ? v1::EVIDENCE_KIND_RANK_NOT_STARTED
                    : rank.signal() != 0    ? v1::EVIDENCE_KIND_RANK_SIGNAL
                                            : v1::EVIDENCE_KIND_RANK_EXIT);
  evidence.set_node(failure.node.value());
  evidence.set_has_rank(true);
  evidence.set_rank(rank.rank());
  evidence.set_time_unix_us(rank.exit_unix_us());
  evidence.set_seen_unix_ms(seen_unix_ms);
  evidence.set_exit_code(rank.exit_code());
  evidence.set_signal(rank.signal());
  evidence.set_phase(rank.progress().phase());
  evidence.set_step(StepOf(rank.progress()));
  if (rank.collectives_size() > 0) *evidence.mutable_collective() = rank.collectives(0);
  evidence.set_text(
      fmt::format("rank {} on {}{}", rank.rank(), failure.node.value(), HowText(rank, state)));
  *evidence.mutable_last_lines() = rank.last_lines();
  return evidence;
}

v1::FailureCause CauseOf(const v1::Evidence& evidence) {
  v1::FailureCause cause;
  cause.set_has_rank(evidence.has_rank());
  cause.set_rank(evidence.rank());
  cause.set_node(evidence.node());
  cause.set_phase(evidence.phase());
  cause.set_step(evidence.step());
  cause.set_exit_code(evidence.exit_code());
  cause.set_signal(evidence.signal());
  cause.set_text(evidence.text());
  *cause.mutable_last_lines() = evidence.last_lines();
  return cause;
}

v1::FailureCause CauseOnNode(const NodeId& node, const std::string& text) {
  v1::FailureCause cause;
  cause.set_node(node.value());
  cause.set_text(text);
  return cause;
}

std::string ShownCause(const v1::FailureCause& cause) {
  std::string full = CauseWithLastLine(cause);
  if (!cause.has_rank()) return full;
  const std::string who = fmt::format("rank {} on {}", cause.rank(), cause.node());
  return full.compare(0, who.size(), who) == 0 ? who + ":" + full.substr(who.size()) : full;
}

std::string CauseWithLastLine(const v1::FailureCause& cause) {
  const std::string line = cause.signal() == 0 ? LastLine(cause) : "";
  return line.empty() ? cause.text() : cause.text() + ": " + line;
}

std::string OutcomeText(v1::AttemptOutcome outcome) {
  switch (outcome) {
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
      return "succeeded";
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
      return "rank failed";
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
      return "node lost";
    case v1::ATTEMPT_OUTCOME_CANCELLED:
      return "cancelled";
    case v1::ATTEMPT_OUTCOME_DRAINED:
      return "drained";
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
      return "preempted";
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
      return "suspended";
    case v1::ATTEMPT_OUTCOME_REQUEUED:
      return "requeued";
    case v1::ATTEMPT_OUTCOME_RESIZED:
      return "resized";
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
      return "time limit";
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "unknown";
}

}  // namespace muster::coordinator::core
