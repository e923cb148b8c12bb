#include "coordinator/core/incidents.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/correlation.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

constexpr size_t kEvidenceMax = 64;
constexpr int kLinesOfOthers = 3;
constexpr size_t kEarlierMax = 16;    // failures of a job that count when one is blamed
constexpr size_t kAttemptsBack = 64;  // no older attempt is looked at

bool FailedAlready(const Attempt& attempt) {
  return attempt.stopping() && (attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
                                attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST);
}

bool SameEvidence(const v1::Evidence& left, const v1::Evidence& right) {
  return left.kind() == right.kind() && left.node() == right.node() &&
         left.has_rank() == right.has_rank() && left.rank() == right.rank();
}

// Keeps what may be the root, however much there is.
void Keep(Attempt& attempt, v1::Evidence one) {
  std::vector<v1::Evidence>& known = attempt.evidence;
  const bool seen = std::any_of(known.begin(), known.end(), [&](const v1::Evidence& other) {
    return SameEvidence(one, other);
  });
  if (seen) return;
  attempt.has_new_evidence = true;
  known.push_back(std::move(one));
  SetRoles(&known);
  if (known.size() <= kEvidenceMax) return;
  known.pop_back();
  ++attempt.evidence_left_out;
}

void ShortenLines(std::vector<v1::Evidence>& evidence) {
  for (size_t i = 1; i < evidence.size(); ++i) {
    const int extra = evidence[i].last_lines_size() - kLinesOfOthers;
    if (extra > 0) evidence[i].mutable_last_lines()->DeleteSubrange(0, extra);
  }
}

v1::AttemptOutcome OutcomeOf(const v1::Evidence& root) {
  return root.kind() == v1::EVIDENCE_KIND_NODE_GONE || root.kind() == v1::EVIDENCE_KIND_NODE_SILENT
             ? v1::ATTEMPT_OUTCOME_NODE_LOST
             : v1::ATTEMPT_OUTCOME_RANK_FAILED;
}

// The incident of the failure: that of the attempt, else the one whose repair it was, else the one
// that took this node (and its neighbours) already, else a new one.
uint64_t IncidentFor(const ClusterState& state, const Job& job, const Attempt& attempt) {
  if (attempt.facts.incident() != 0) return attempt.facts.incident();
  if (const IncidentEntry* open = state.incidents.OpenOf(job.id)) return open->facts.id();
  for (const v1::Evidence& one : attempt.evidence) {
    if (one.role() != v1::EVIDENCE_ROLE_ROOT || OutcomeOf(one) != v1::ATTEMPT_OUTCOME_NODE_LOST) {
      continue;
    }
    const uint64_t known = IncidentOfLostNode(state, NodeId(one.node()));
    if (known != 0) return known;
  }
  return state.incidents.NextId();
}

// When it began, as far as can be told: a rank lived when its node spoke before its end was known,
// a lost node when it was last heard in this life of the coordinator.
int64_t BeganMs(const ClusterState& state, const v1::Evidence& root) {
  const int64_t now_ms = absl::ToUnixMillis(state.now);
  const int64_t told_ms = root.time_unix_us() / 1000;
  const Node& node = *state.nodes.Find(NodeId(root.node()));
  if (OutcomeOf(root) == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    return std::max(told_ms, absl::ToUnixMillis(state.started_at));
  }
  if (root.kind() == v1::EVIDENCE_KIND_RANK_STILL) return std::min(told_ms, now_ms);
  if (!root.has_rank()) return now_ms;
  const int64_t before_ms =
      node.heard_before == absl::InfinitePast() ? 0 : absl::ToUnixMillis(node.heard_before);
  return std::clamp(told_ms, std::min(before_ms, now_ms), now_ms);
}

// The newest ones, oldest first.
std::vector<v1::FailureCause> EarlierCauses(const Job& job, uint64_t before) {
  std::vector<v1::FailureCause> causes;
  size_t left = kAttemptsBack;
  for (auto at = job.attempts.rbegin(); at != job.attempts.rend() && left > 0; ++at) {
    if (at->facts.number() >= before) continue;
    --left;
    const v1::AttemptOutcome outcome = at->facts.outcome();
    if (outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST) {
      causes.push_back(at->facts.cause());
    }
    if (causes.size() == kEarlierMax) break;
  }
  std::reverse(causes.begin(), causes.end());
  return causes;
}

}  // namespace

void FailAttempt(Turn& turn, Job& job, std::vector<v1::Evidence> evidence) {
  Attempt& attempt = *job.LiveAttempt();
  if (FoundCorruption(evidence)) attempt.memory_suspect = true;
  if (!attempt.good() && !FailedAlready(attempt)) {
    StopWaitingForASave(turn, job);
    return;
  }
  CHECK(!evidence.empty(), "job {} fails without evidence", job.id.value());
  const bool first = attempt.good();
  const v1::Evidence before = first ? v1::Evidence() : attempt.evidence.front();
  for (v1::Evidence& one : evidence) Keep(attempt, std::move(one));
  const v1::Evidence& root = attempt.evidence.front();
  if (!first && SameEvidence(root, before)) return;
  StopAttempt(turn, job, OutcomeOf(root), CauseOf(root));
}

v1::Evidence NodeEvidence(const Turn& turn, v1::EvidenceKind kind, const Node& node,
                          const std::string& text) {
  v1::Evidence evidence;
  evidence.set_kind(kind);
  evidence.set_node(node.name.value());
  evidence.set_seen_unix_ms(turn.now_ms());
  const bool lost = kind != v1::EVIDENCE_KIND_SHIM_DIED;
  if (lost && node.lease.heard > absl::InfinitePast()) {
    evidence.set_time_unix_us(absl::ToUnixMicros(node.lease.heard));
  }
  evidence.set_text(text);
  return evidence;
}

void FillFailure(const ClusterState& state, const Job& job, const Attempt& attempt,
                 v1::AttemptStopping* stopping) {
  CHECK(!attempt.evidence.empty(), "job {} fails without evidence", job.id.value());
  std::vector<v1::Evidence> evidence = attempt.evidence;
  ShortenLines(evidence);
  stopping->set_incident(IncidentFor(state, job, attempt));
  stopping->mutable_evidence()->Assign(evidence.begin(), evidence.end());
  stopping->set_evidence_left_out(attempt.evidence_left_out);
  const bool fresh = evidence.front().seen_unix_ms() >= absl::ToUnixMillis(state.now);
  stopping->set_since_unix_ms(fresh ? BeganMs(state, evidence.front())
                                    : attempt.facts.failed_since_unix_ms());
  const BlameVerdict verdict =
      BlameFor(evidence.front(), EarlierCauses(job, attempt.facts.number()));
  stopping->set_blame(verdict.blame);
  stopping->set_confidence(verdict.confidence);
  stopping->set_blame_reason(verdict.reason);
}

void RecordLateEvidence(Turn& turn, Job& job) {
  Attempt& attempt = *job.LiveAttempt();
  if (!attempt.has_new_evidence || !FailedAlready(attempt)) return;
  v1::Record record;
  v1::AttemptStopping* stopping = record.mutable_attempt_stopping();
  stopping->set_job_id(job.id.value());
  stopping->set_attempt(attempt.facts.number());
  stopping->set_outcome(attempt.facts.outcome());
  *stopping->mutable_cause() = attempt.facts.cause();
  FillFailure(turn.state(), job, attempt, stopping);
  attempt.has_new_evidence = false;
  turn.Record(std::move(record));
}

void TellIncidents(Turn& turn) {
  const ClusterState& state = turn.state();
  for (const uint64_t id : turn.state().incidents.TakeChanged()) {
    turn.Emit(IncidentView(state, *state.incidents.Find(id), true));
  }
}

}  // namespace muster::coordinator::core
