#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/check.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/quarantine_book.h"
#include "coordinator/core/room.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {
namespace {

constexpr double kServed = 0.5;  // what of a fault's weight is left when the node is let back in

Node& NodeOf(ClusterState& state, const std::string& name) {
  Node* node = state.nodes.Find(NodeId(name));
  CHECK(node != nullptr, "a record names node {}, which never joined", name);
  return *node;
}

uint64_t GroupOf(const Job& job) {
  return job.array_id == JobId() ? job.id.value() : job.array_id.value();
}

// "rank 3 on n2 exited 1 at start" → "rank 3 exited 1 at start": the node is known here.
std::string TextOf(const v1::FailureCause& cause) {
  std::string text = cause.text();
  const std::string on = " on " + cause.node();
  if (const size_t at = text.find(on); at != std::string::npos) text.erase(at, on.size());
  const std::string lost = cause.node() + " ";
  if (text.compare(0, lost.size(), lost) == 0) text.erase(0, lost.size());
  return text;
}

// What an earlier record of the attempt said is said anew.
void Withdraw(ClusterState& state, const AttemptKey& key, uint64_t program) {
  const auto named = state.quarantine.named.find(key);
  if (named == state.quarantine.named.end()) return;
  Node& node = *state.nodes.Find(named->second.node);
  if (named->second.new_in_row) state.quarantine.streaks.Withdraw(program, node.name);
  std::erase_if(node.health.faults, [&key](const Fault& fault) {
    return fault.jobs.size() == 1 && fault.jobs.front() == key.first.value() &&
           fault.attempt == key.second.value() && fault.kind != Fault::Kind::kLost;
  });
  state.quarantine.cleared.insert(node.name);
  state.quarantine.named.erase(named);
}

// The program fails wherever it runs: its nodes are innocent.
void MaybeTakeBack(ClusterState& state, uint64_t program) {
  const size_t nodes = state.quarantine.streaks.Nodes(program).size();
  if (nodes < kEverywhere) return;
  const std::string why = fmt::format("the same program failed so on {} nodes in a row", nodes);
  for (const NodeId& name : state.quarantine.streaks.Nodes(program)) {
    TakeBack(state.nodes.Find(name)->health, program, nodes >= kEverywhereLost, why);
    state.quarantine.cleared.insert(name);
  }
}

// Nodes that go together went with something they share: each is the less guilty.
void ShareLoss(ClusterState& state, const NodeId& node, int64_t unix_ms) {
  std::vector<QuarantineBook::Loss>& losses = state.quarantine.losses;
  const int64_t since = unix_ms - absl::ToInt64Milliseconds(state.options.quarantine.one_event);
  std::erase_if(losses, [since](const auto& loss) { return loss.unix_ms < since; });
  losses.push_back({unix_ms, node});
  std::set<NodeId> nodes;
  for (const QuarantineBook::Loss& loss : losses) nodes.insert(loss.node);
  if (nodes.size() < 2) return;
  for (const QuarantineBook::Loss& loss : losses) {
    state.quarantine.cleared.insert(loss.node);
    for (Fault& fault : state.nodes.Find(loss.node)->health.faults) {
      if (fault.kind != Fault::Kind::kLost || fault.unix_ms != loss.unix_ms) continue;
      fault.weight = std::min(fault.weight, kLostWeight / static_cast<double>(nodes.size()));
    }
  }
}

}  // namespace

void NoteNodeDied(ClusterState& state, Node& node, const v1::Record& record) {
  if (record.node_died().planned() || node.jobs.empty()) return;
  Fault fault;
  fault.kind = Fault::Kind::kLost;
  fault.unix_ms = record.time_unix_ms();
  fault.text = "lost, " + record.node_died().reason();
  for (const JobId id : node.jobs) fault.jobs.push_back(id.value());
  const Job& first = *state.jobs.Find(*node.jobs.begin());
  fault.group = GroupOf(first);
  fault.program = ProgramOf(first.spec);
  fault.attempt = first.attempts.back().facts.number();
  fault.weight = kLostWeight;
  AddFault(node.health, std::move(fault), state.options.quarantine);
  state.quarantine.accused.insert(node.name);
  ShareLoss(state, node.name, record.time_unix_ms());
}

void NoteAttemptStopping(ClusterState& state, const Job& job, const v1::Record& record) {
  const v1::AttemptStopping& stopping = record.attempt_stopping();
  const std::optional<Accusation> accusation = AccusationOf(stopping);
  if (!accusation) return;
  const AttemptKey key(job.id, AttemptNumber(stopping.attempt()));
  const uint64_t program = ProgramOf(job.spec);
  Withdraw(state, key, program);
  Node* node = state.nodes.Find(NodeId(stopping.cause().node()));
  if (node == nullptr) return;
  const bool lost = stopping.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST;
  // A loss counted when the node died, if it did: back at once without its ranks, it was restarted.
  if (!lost) {
    AddFault(node->health, FaultOf(job, stopping, *accusation, record.time_unix_ms()),
             state.options.quarantine);
    state.quarantine.accused.insert(node->name);
  } else {
    for (Fault& fault : node->health.faults) {
      if (fault.kind == Fault::Kind::kLost && fault.unix_ms == record.time_unix_ms() &&
          fault.incident == 0) {
        fault.incident = stopping.incident();
      }
    }
  }
  const bool new_in_row =
      state.quarantine.streaks.Failed(program, WayOf(stopping), node->name, record.time_unix_ms());
  state.quarantine.named[key] = {node->name, new_in_row};
  MaybeTakeBack(state, program);
}

Fault FaultOf(const Job& job, const v1::AttemptStopping& stopping, const Accusation& accusation,
              int64_t unix_ms) {
  Fault fault;
  fault.kind = accusation.kind;
  fault.weight = accusation.weight;
  fault.unix_ms = unix_ms;
  fault.jobs = {job.id.value()};
  fault.group = GroupOf(job);
  fault.attempt = stopping.attempt();
  fault.incident = stopping.incident();
  fault.program = ProgramOf(job.spec);
  fault.text = TextOf(stopping.cause());
  return fault;
}

void NoteAttemptEnded(ClusterState& state, const Job& job, const Attempt& attempt, bool fruitful) {
  state.quarantine.named.erase(AttemptKey(job.id, AttemptNumber(attempt.facts.number())));
  const bool succeeded = attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_SUCCEEDED;
  if (fruitful || succeeded) state.quarantine.streaks.Progressed(ProgramOf(job.spec));
  if (!succeeded) return;
  for (const v1::NodeShare& share : attempt.facts.shares()) {
    Node& node = NodeOf(state, share.node());
    if (node.health.faults.empty()) continue;
    Vouch(node.health, fmt::format("job {} succeeded here", job.id.value()));
    state.quarantine.cleared.insert(node.name);
  }
}

void ApplyNodeQuarantineSet(ClusterState& state, const v1::Record& record) {
  const v1::NodeQuarantineSet& set = record.node_quarantine_set();
  const int64_t now = record.time_unix_ms();
  Node& node = NodeOf(state, set.node());
  NodeHealth& health = node.health;
  const v1::Quarantine before = health.quarantine;
  const bool was_kept = health.kept_from_work();
  const bool was_by_person = health.by_person;
  if (set.quarantine() == v1::QUARANTINE_TESTING) {
    health.before_test = before;
    health.before_until_unix_ms = health.until_unix_ms;
    health.before_reason = health.reason;
    health.test_unix_ms = now;
    ++health.tests;
  }
  health.quarantine = set.quarantine();
  health.reason = set.reason();
  health.until_unix_ms = set.until_unix_ms();
  // A test on the way, or its failure, leave it whose decision it was.
  health.by_person = health.kept_from_work() && (was_kept ? was_by_person : set.by_person());
  if (set.by_person() && set.quarantine() == v1::QUARANTINE_COOLING) health.by_person = true;
  if (set.quarantine() == v1::QUARANTINE_COOLING && set.until_unix_ms() > 0 && !set.by_person()) {
    const int64_t since = now - absl::ToInt64Milliseconds(state.options.quarantine.memory);
    std::erase_if(health.coolings, [since](int64_t at) { return at <= since; });
    health.coolings.push_back(now);
  }
  const bool let_in = !health.kept_from_work() && set.quarantine() != v1::QUARANTINE_ADVISED;
  const v1::Quarantine served = before == v1::QUARANTINE_TESTING ? health.before_test : before;
  if (let_in && served != v1::QUARANTINE_NONE && served != v1::QUARANTINE_PROBATION) {
    for (Fault& fault : health.faults) fault.weight *= kServed;
  }
  v1::QuarantineChange change;
  change.set_time_unix_ms(now);
  change.set_quarantine(set.quarantine());
  change.set_reason(set.reason());
  change.set_until_unix_ms(set.until_unix_ms());
  change.set_by_person(set.by_person());
  health.changes.push_back(std::move(change));
  if (health.changes.size() > kFaultsKept) health.changes.erase(health.changes.begin());

  state.quarantine.accused.erase(node.name);
  state.quarantine.cleared.erase(node.name);
  if (health.quarantine == v1::QUARANTINE_TESTING) {
    state.quarantine.due.Set(node.name, absl::FromUnixMillis(now));
  } else if (health.until_unix_ms > 0) {
    state.quarantine.due.Set(node.name, absl::FromUnixMillis(health.until_unix_ms));
  } else {
    state.quarantine.due.Clear(node.name);
  }
  RefreshUsable(state, node);
  if (!set.request_id().empty()) {
    const bool test = set.quarantine() == v1::QUARANTINE_TESTING;
    state.requests[set.request_id()] = {
        .call = test ? RequestUse::Call::kTestNode : RequestUse::Call::kSetQuarantine,
        .node = node.name};
  }
}

void ApplyNodeTested(ClusterState& state, const v1::Record& record) {
  const v1::NodeTested& tested = record.node_tested();
  NodeHealth& health = NodeOf(state, tested.node()).health;
  v1::NodeTest report;
  report.set_test(tested.test());
  report.set_passed(tested.passed());
  report.set_text(tested.text());
  report.set_time_unix_ms(record.time_unix_ms());
  health.reports.push_back(std::move(report));
  if (health.reports.size() > kFaultsKept) health.reports.erase(health.reports.begin());
}

}  // namespace muster::coordinator::core
