// Quarantine, decided: who is kept from work, tested, and let back in.
//
// Attempts that run on a node when it is quarantined are left alone: to stop them costs their job
// a restart for sure, to let them run costs one only if the node fails again, and their job moves
// away with its next attempt in any case.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/duration.h"
#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

const QuarantineOptions& OptionsOf(Turn& turn) { return turn.state().options.quarantine; }

// Kept from work by the coordinator's own judgement. One that is dead and stays away uses up none
// of the share.
bool UsesShare(const Node& node, int64_t now_ms) {
  if (!node.health.kept_from_work() || node.health.by_person) return false;
  return !node.dead || node.health.until_unix_ms > now_ms;
}

bool HasRoom(const ClusterState& state, const Node& next) {
  uint64_t nodes = 0;
  uint64_t kept = 0;
  const int64_t now_ms = absl::ToUnixMillis(state.now);
  for (const auto& [name, node] : state.nodes.all()) {
    if (!node.dead || name == next.name) ++nodes;
    if (UsesShare(node, now_ms)) ++kept;
  }
  return kept < QuarantineLimit(nodes, state.options.quarantine);
}

QuarantineFacts FactsOf(const ClusterState& state, const Node& node) {
  const NodeHealth& health = node.health;
  const bool tests = health.quarantine == v1::QUARANTINE_TESTING;
  const int64_t until = tests ? health.before_until_unix_ms : health.until_unix_ms;
  const v1::Quarantine from = tests ? health.before_test : health.quarantine;
  return {.now = health.quarantine,
          .before_test = health.before_test,
          .by_person = health.by_person,
          .endless = from == v1::QUARANTINE_COOLING && until == 0,
          .room = HasRoom(state, node)};
}

int64_t After(Turn& turn, absl::Duration span) {
  return turn.now_ms() + absl::ToInt64Milliseconds(span);
}

void SendTest(Turn& turn, Node& node) {
  v1::CoordinatorMessage message;
  message.mutable_test()->set_test(node.health.tests);
  turn.Send(node, std::move(message));
  turn.state().quarantine.due.Set(node.name, turn.now() + OptionsOf(turn).test_repeat);
}

// Carries out what the machine says; the reason is that of the change.
bool Move(Turn& turn, Node& node, QuarantineInput input, const std::string& reason) {
  ClusterState& state = turn.state();
  const NodeHealth& health = node.health;
  const QuarantineFacts facts = FactsOf(state, node);
  const std::optional<v1::Quarantine> next = NextQuarantine(facts, input);
  if (!next) return false;
  v1::Record record;
  v1::NodeQuarantineSet* set = record.mutable_node_quarantine_set();
  set->set_node(node.name.value());
  set->set_quarantine(*next);
  set->set_reason(reason);
  if (*next == v1::QUARANTINE_COOLING && !facts.endless) {
    set->set_until_unix_ms(After(turn, CoolDown(health, turn.now_ms(), OptionsOf(turn))));
  } else if (*next == v1::QUARANTINE_PROBATION) {
    // A test in the middle of it does not make it longer.
    set->set_until_unix_ms(facts.before_test == v1::QUARANTINE_PROBATION
                               ? health.before_until_unix_ms
                               : After(turn, OptionsOf(turn).probation));
  }
  turn.Record(std::move(record));
  if (*next == v1::QUARANTINE_TESTING) SendTest(turn, node);
  return true;
}

void TakeTest(Turn& turn, Node& node, bool passed, const std::string& text) {
  v1::Record record;
  v1::NodeTested* tested = record.mutable_node_tested();
  tested->set_node(node.name.value());
  tested->set_test(node.health.tests);
  tested->set_passed(passed);
  tested->set_text(text);
  turn.Record(std::move(record));
  // A person's quarantine without end goes on for the person's reason.
  const bool goes_on = passed && FactsOf(turn.state(), node).endless;
  const std::string reason = goes_on  ? node.health.before_reason
                             : passed ? "passed its test: " + text
                                      : "failed its test: " + text;
  Move(turn, node, passed ? QuarantineInput::kTestPassed : QuarantineInput::kTestFailed, reason);
}

void OnTimeUp(Turn& turn, Node& node) {
  const bool ready = node.State() == v1::NODE_STATE_READY;
  const absl::Time again = turn.now() + OptionsOf(turn).test_repeat;
  const absl::Time ordered = absl::FromUnixMillis(node.health.test_unix_ms);
  switch (node.health.quarantine) {
    case v1::QUARANTINE_COOLING:
      // Ranks that still run there would be in the test's way, and it in theirs.
      if (!ready || !node.jobs.empty() || !node.stale.empty()) {
        turn.state().quarantine.due.Set(node.name, again);
      } else {
        Move(turn, node, QuarantineInput::kTimeUp, node.health.reason);
      }
      return;
    case v1::QUARANTINE_TESTING:
      if (!ready) {
        turn.state().quarantine.due.Set(node.name, again);
        return;
      }
      if (turn.now() - std::max(node.connected_at, ordered) >= OptionsOf(turn).test_timeout) {
        TakeTest(turn, node, false,
                 "no report within " + DurationText(OptionsOf(turn).test_timeout));
        return;
      }
      SendTest(turn, node);
      return;
    case v1::QUARANTINE_PROBATION:
      Move(turn, node, QuarantineInput::kTimeUp, "probation over without an incident");
      return;
    case v1::QUARANTINE_NONE:
    case v1::QUARANTINE_ADVISED:
    case v1::QUARANTINE_UNSPECIFIED:
    case v1::Quarantine_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Quarantine_INT_MAX_SENTINEL_DO_NOT_USE_:
      return;
  }
}

}  // namespace

bool WillQuarantine(const ClusterState& state, const Job& job,
                    const v1::AttemptStopping& stopping) {
  const std::optional<Accusation> accusation = AccusationOf(stopping);
  const Node* node = state.nodes.Find(NodeId(stopping.cause().node()));
  if (!accusation || node == nullptr || stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    return false;
  }
  const QuarantineOptions& options = state.options.quarantine;
  const int64_t now_ms = absl::ToUnixMillis(state.now);
  const uint64_t program = ProgramOf(job.spec);
  NodeHealth health = node->health;
  AddFault(health, FaultOf(job, stopping, *accusation, now_ms), options);
  const size_t row =
      state.quarantine.streaks.NodesWith(program, WayOf(stopping), node->name).size();
  if (row >= kEverywhere) TakeBack(health, program, row >= kEverywhereLost, "");
  if (Score(health, now_ms, options) < options.guilty_score) return false;
  return NextQuarantine(FactsOf(state, *node), QuarantineInput::kGuilty) == v1::QUARANTINE_COOLING;
}

void JudgeNodes(Turn& turn) {
  ClusterState& state = turn.state();
  const QuarantineOptions& options = state.options.quarantine;
  for (const NodeId& name : std::exchange(state.quarantine.cleared, {})) {
    Node& node = *state.nodes.Find(name);
    if (Score(node.health, turn.now_ms(), options) >= options.guilty_score) continue;
    Move(turn, node, QuarantineInput::kCleared, "what spoke against it was taken back");
  }
  for (const NodeId& name : std::exchange(state.quarantine.accused, {})) {
    Node& node = *state.nodes.Find(name);
    if (Score(node.health, turn.now_ms(), options) < options.guilty_score) continue;
    Move(turn, node, QuarantineInput::kGuilty, ScoreText(node.health, turn.now_ms(), options));
  }
  while (const auto due = state.quarantine.due.Take(turn.now())) {
    OnTimeUp(turn, *state.nodes.Find(*due));
  }
}

void OnTestReport(Turn& turn, Node& node, const v1::NodeTestReport& report) {
  if (node.health.quarantine == v1::QUARANTINE_TESTING && report.test() == node.health.tests) {
    TakeTest(turn, node, report.passed(), report.text());
  }
  v1::CoordinatorMessage message;
  message.mutable_test_ack()->set_test(report.test());
  turn.Send(node, std::move(message));
}

}  // namespace muster::coordinator::core
