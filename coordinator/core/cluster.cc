#include "coordinator/core/cluster.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/incidents.h"

namespace muster::coordinator::core {
namespace {

void OnStart(Turn& turn, const Start& start) {
  ClusterState& state = turn.state();
  CHECK(!state.started, "the cluster was started twice");
  state.started = true;
  state.started_at = turn.now();
  state.nonce = start.nonce;
  if (state.cluster_id.empty()) {
    v1::Record record;
    record.mutable_cluster_created()->set_cluster_id(start.cluster_id);
    turn.Record(std::move(record));
  }
  v1::Record record;
  record.mutable_epoch_started()->set_epoch(state.epoch.value() + 1);
  turn.Record(std::move(record));
  for (auto& [name, node] : state.nodes.all()) {
    if (node.dead) continue;
    state.awaited.insert(name);
    node.lease.give_up_at = turn.now() + state.options.reconnect_grace;
    node.lease.broken = "not back since the coordinator started";
    Rejudge(turn, node);
  }
}

void OnTick(Turn& turn) {
  CheckLeases(turn);
  CheckMissingShares(turn);
  CheckSettled(turn);
  CheckTimeLimits(turn);
  SendDueOrders(turn);
}

struct Dispatch {
  Turn& turn;
  void operator()(const Start& input) { OnStart(turn, input); }
  void operator()(const Tick&) { OnTick(turn); }
  void operator()(const SubmitJob& input) { OnSubmitJob(turn, input); }
  void operator()(const CancelJob& input) { OnCancelJob(turn, input); }
  void operator()(const ControlJob& input) { OnControlJob(turn, input); }
  void operator()(const ScaleJob& input) { OnScaleJob(turn, input); }
  void operator()(const SetQueue& input) { OnSetQueue(turn, input); }
  void operator()(const PauseQueue& input) { OnPauseQueue(turn, input); }
  void operator()(const SetNodeAdmission& input) { OnSetNodeAdmission(turn, input); }
  void operator()(const AckIncident& input) { OnAckIncident(turn, input); }
  void operator()(const SetNodeQuarantine& input) { OnSetNodeQuarantine(turn, input); }
  void operator()(const TestNode& input) { OnTestNode(turn, input); }
  void operator()(const WorkerConnected& input) { OnWorkerConnected(turn, input); }
  void operator()(const WorkerSaid& input) { OnWorkerSaid(turn, input); }
  void operator()(const WorkerDisconnected& input) { OnWorkerDisconnected(turn, input); }
};

}  // namespace

Cluster::Cluster(const Options& options) : state_(std::make_unique<ClusterState>(options)) {}
Cluster::Cluster(std::unique_ptr<ClusterState> state) : state_(std::move(state)) {}
Cluster::~Cluster() = default;
Cluster::Cluster(Cluster&&) noexcept = default;
Cluster& Cluster::operator=(Cluster&&) noexcept = default;

Cluster Cluster::Copy() const { return Cluster(std::make_unique<ClusterState>(*state_)); }

Outcome Cluster::Step(const Input& input, absl::Time now) {
  CHECK(state_->started || std::holds_alternative<Start>(input), "the first input must be Start");
  if (std::holds_alternative<Start>(input)) {
    const absl::Time newest = absl::FromUnixMillis(state_->record_unix_ms);
    state_->clock_behind = std::max(absl::ZeroDuration(), newest - now);
  }
  state_->now = std::max(state_->now, now + state_->clock_behind);
  Outcome outcome;
  Turn turn(*state_, outcome);
  std::visit(Dispatch{turn}, input);
  EndDoomed(turn);
  JudgeNodes(turn);
  PlanIfNeeded(turn);
  TellIncidents(turn);
  return outcome;
}

absl::Time Cluster::WakeAt() const {
  if (!state_->started) return absl::InfiniteFuture();
  return std::min({state_->leases.next(), state_->missing_shares.next(), state_->orders.next(),
                   state_->settling.next(), state_->time_limits.next(),
                   state_->quarantine.due.next(), PlanDue(*state_)});
}

void Cluster::Apply(const v1::Record& record) {
  ApplyRecord(*state_, record);
  state_->incidents.TakeChanged();  // nobody watches a replay
}

Epoch Cluster::epoch() const { return state_->epoch; }
const std::string& Cluster::cluster_id() const { return state_->cluster_id; }
uint64_t Cluster::revision() const { return state_->revision; }

}  // namespace muster::coordinator::core
