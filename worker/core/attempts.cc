// The life of an attempt on this node.
#include <algorithm>
#include <utility>

#include "common/hostlist.h"
#include "worker/core/worker_core.h"

namespace muster::worker::core {
namespace {

// A shim that was told to end and does not is killed after this.
constexpr int64_t kExitGraceMs = 10'000;

}  // namespace

void WorkerCore::Spawn(const AttemptKey& key, LocalAttempt& attempt) {
  attempt.phase = AttemptPhase::kStarting;
  attempt.has_folder = true;
  attempt.shim_alive = true;
  attempt.report.set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  Say("attempt " + AttemptName(key) +
      " starts: " + std::to_string(RanksOn(attempt.start, identity_.node()).size()) + " of " +
      std::to_string(attempt.start.world_size()) + " ranks are here");
  OpenExchangeIfRoot(key, attempt);
  actions_.push_back(PublishRanks{key, RanksOn(attempt.start, identity_.node())});
  actions_.push_back(SpawnShim{key, attempt.start});
  Report(key, attempt);
}

void WorkerCore::OpenExchangeIfRoot(const AttemptKey& key, const LocalAttempt& attempt) {
  if (attempt.start.nodes() == 0 || attempt.start.node_index() != 0) return;
  v1::GangOrder gang;
  if (!gang.ParseFromString(attempt.start.gang())) {
    return Warn("attempt " + AttemptName(key) +
                ": its order cannot be read; ranks of other nodes " +
                "will not find this one; are coordinator and worker of one release?");
  }
  OpenExchange open{key, {}};
  for (const v1::NodeRun& run : gang.nodes()) {
    std::string name = run.name();
    for (uint32_t i = 0; i < run.nodes(); ++i) {
      open.nodes.push_back(name);
      name = NextName(name);
    }
  }
  actions_.push_back(std::move(open));
}

void WorkerCore::Stop(const AttemptKey& key, LocalAttempt& attempt, const v1::StopRanks& stop) {
  if (attempt.phase == AttemptPhase::kWaiting) {
    attempt.stop = stop;
    v1::AttemptReport report;
    report.set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
    return BecomeStopped(key, attempt, std::move(report));
  }
  // The coordinator repeats its orders; only a shorter grace is news, or every repetition would
  // put the end off.
  const bool news = !attempt.stop || stop.grace_ms() < attempt.stop->grace_ms();
  if (news) {
    attempt.stop = stop;
    Say("attempt " + AttemptName(key) + " is stopped: " + stop.reason());
    SendStop(key, attempt);
  }
  Report(key, attempt);
}

void WorkerCore::SendStop(const AttemptKey& key, const LocalAttempt& attempt) {
  if (!attempt.shim_connected || !attempt.stop) return;  // sent when it connects
  v1::WorkerToShim message;
  message.mutable_stop()->set_grace_ms(attempt.stop->grace_ms());
  message.mutable_stop()->set_reason(attempt.stop->reason());
  ToShim(key, std::move(message));
}

void WorkerCore::BecomeStopped(const AttemptKey& key, LocalAttempt& attempt,
                               v1::AttemptReport report) {
  attempt.phase = AttemptPhase::kStopped;
  attempt.report = std::move(report);
  attempt.requests.clear();  // nobody waits for the permit any more; CommitDone still counts
  actions_.push_back(CloseExchange{key});
  actions_.push_back(PublishRanks{key, {}});
  Say("attempt " + AttemptName(key) + " has stopped here");
  Report(key, attempt);
  StartWaiting(key.job);
  if (attempt.release_wanted) BeginRelease(key, attempt);
}

void WorkerCore::StartWaiting(JobId job) {
  bool older_present = false;
  for (auto& [key, attempt] : attempts_) {
    if (key.job != job) continue;
    if (attempt.phase == AttemptPhase::kWaiting && !older_present) Spawn(key, attempt);
    older_present = older_present || IsPresent(attempt);
  }
}

void WorkerCore::BeginRelease(const AttemptKey& key, LocalAttempt& attempt) {
  if (attempt.phase == AttemptPhase::kReleasing) return;
  AttemptNumber& highest = released_[key.job];
  highest = std::max(highest, key.attempt);
  if (!attempt.has_folder) return Forget(key);
  attempt.phase = AttemptPhase::kReleasing;
  if (!attempt.shim_alive) {
    actions_.push_back(CleanUp{key});
    return;
  }
  attempt.exit_deadline_ms = now_ms_ + kExitGraceMs;
  if (!attempt.shim_connected) return;
  v1::WorkerToShim message;
  message.mutable_exit();
  ToShim(key, std::move(message));
}

// Keep `key` out of the entry: it is destroyed here.
void WorkerCore::Forget(const AttemptKey& key) {
  const AttemptKey gone = key;
  if (Find(gone)->has_folder) actions_.push_back(RemoveFolder{gone});
  attempts_.erase(gone);
}

void WorkerCore::On(const AttemptFound& found) {
  LocalAttempt& attempt = attempts_[found.key];
  attempt.start = found.start;
  attempt.has_folder = true;
  attempt.shim_alive = true;
  if (found.last && found.last->state() == v1::LOCAL_ATTEMPT_STATE_STOPPED) {
    attempt.phase = AttemptPhase::kStopped;
    attempt.report = *found.last;
    return;
  }
  attempt.phase = AttemptPhase::kStarting;
  if (found.last) attempt.report = *found.last;
  attempt.report.set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  OpenExchangeIfRoot(found.key, attempt);
  actions_.push_back(PublishRanks{found.key, RanksOn(attempt.start, identity_.node())});
}

void WorkerCore::On(const SpawnFailed& failed) {
  LocalAttempt* attempt = Find(failed.key);
  if (attempt == nullptr || attempt->phase != AttemptPhase::kStarting) return;
  attempt->shim_alive = false;
  Warn("attempt " + AttemptName(failed.key) + " cannot start: " + failed.error);
  v1::AttemptReport report = StoppedReport(*attempt, identity_.node(), failed.error);
  for (v1::RankReport& rank : *report.mutable_ranks()) rank.set_signal(0);  // it never ran
  BecomeStopped(failed.key, *attempt, std::move(report));
}

void WorkerCore::On(const ShimConnected& shim) {
  LocalAttempt* attempt = Find(shim.key);
  if (attempt == nullptr) return;
  attempt->shim_connected = true;
  switch (attempt->phase) {
    case AttemptPhase::kStarting:
    case AttemptPhase::kRunning:
      return SendStop(shim.key, *attempt);
    case AttemptPhase::kReleasing: {
      v1::WorkerToShim message;
      message.mutable_exit();
      return ToShim(shim.key, std::move(message));
    }
    case AttemptPhase::kWaiting:
    case AttemptPhase::kCleaning:
    case AttemptPhase::kStopped:
      return;
  }
}

void WorkerCore::On(const ShimDisconnected& shim) {
  if (LocalAttempt* attempt = Find(shim.key)) attempt->shim_connected = false;
}

void WorkerCore::On(const ShimGone& shim) {
  LocalAttempt* attempt = Find(shim.key);
  if (attempt == nullptr) return;
  attempt->shim_alive = false;
  attempt->shim_connected = false;
  switch (attempt->phase) {
    case AttemptPhase::kStarting:
    case AttemptPhase::kRunning:
      attempt->phase = AttemptPhase::kCleaning;
      Warn("attempt " + AttemptName(shim.key) + ": its shim died; killing what it left");
      actions_.push_back(CleanUp{shim.key});
      return;
    case AttemptPhase::kReleasing:
      if (attempt->exit_deadline_ms > 0) Forget(shim.key);  // else CleanedUp is on its way
      return;
    case AttemptPhase::kWaiting:
    case AttemptPhase::kCleaning:
    case AttemptPhase::kStopped:
      return;
  }
}

void WorkerCore::On(const CleanedUp& cleaned) {
  LocalAttempt* attempt = Find(cleaned.key);
  if (attempt == nullptr) return;
  if (attempt->phase == AttemptPhase::kReleasing) return Forget(cleaned.key);
  if (attempt->phase != AttemptPhase::kCleaning) return;
  if (cleaned.last) attempt->report = *cleaned.last;
  BecomeStopped(cleaned.key, *attempt, StoppedReport(*attempt, identity_.node(), "shim died"));
}

void WorkerCore::On(const FromShim& from) {
  LocalAttempt* attempt = Find(from.key);
  if (attempt == nullptr) return;
  v1::WorkerMessage up;
  switch (from.message.message_case()) {
    case v1::ShimToWorker::kReport:
      return OnShimReport(from.key, *attempt, from.message.report());
    case v1::ShimToWorker::kExchange:
      return OnShimExchange(from.key, *attempt, from.message.exchange());
    case v1::ShimToWorker::kExchangeOver:
      actions_.push_back(ExchangeOver{from.key, from.message.exchange_over()});
      return;
    case v1::ShimToWorker::kCommitRequest:
      attempt->requests[from.message.commit_request().checkpoint().step()] =
          from.message.commit_request();
      *up.mutable_commit_request() = from.message.commit_request();
      return ToCoordinator(std::move(up));
    case v1::ShimToWorker::kCommitDone:
      attempt->done[from.message.commit_done().checkpoint().step()] = from.message.commit_done();
      *up.mutable_commit_done() = from.message.commit_done();
      return ToCoordinator(std::move(up));
    case v1::ShimToWorker::kPruned:
      for (const v1::CheckpointRef& ref : from.message.pruned().checkpoints()) {
        attempt->pruned.push_back(ref);
      }
      *up.mutable_pruned() = from.message.pruned();
      return ToCoordinator(std::move(up));
    case v1::ShimToWorker::MESSAGE_NOT_SET:
      return Warn("attempt " + AttemptName(from.key) + ": its shim sent an unknown message");
  }
}

void WorkerCore::OnShimReport(const AttemptKey& key, LocalAttempt& attempt,
                              v1::AttemptReport report) {
  if (attempt.phase != AttemptPhase::kStarting && attempt.phase != AttemptPhase::kRunning) return;
  const bool news =
      attempt.phase == AttemptPhase::kStarting || StatesDiffer(attempt.report, report);
  attempt.phase = AttemptPhase::kRunning;
  if (report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED) {
    return BecomeStopped(key, attempt, std::move(report));
  }
  attempt.report = std::move(report);
  if (!news) return;
  std::vector<uint32_t> live;
  for (const v1::RankReport& rank : attempt.report.ranks()) {
    if (rank.state() != v1::RANK_STATE_EXITED) live.push_back(rank.rank());
  }
  actions_.push_back(PublishRanks{key, std::move(live)});
  Report(key, attempt);
}

void WorkerCore::OnShimExchange(const AttemptKey& key, const LocalAttempt& attempt,
                                const v1::ShimExchange& exchange) {
  CallExchange call{key, false, "", {}};
  if (attempt.start.share().node() != identity_.node()) {
    v1::WorkerToShim message;
    message.mutable_exchange_result()->set_key(exchange.key());
    message.mutable_exchange_result()->set_error("node " + identity_.node() +
                                                 " holds no rank of the attempt");
    return ToShim(key, std::move(message));
  }
  call.here = attempt.start.node_index() == 0;
  call.peer_address = attempt.start.root_address();
  call.request.set_job_id(key.job.value());
  call.request.set_attempt(key.attempt.value());
  call.request.set_key(exchange.key());
  call.request.set_node_index(attempt.start.node_index());
  call.request.set_participants(exchange.participants());
  call.request.set_blob(exchange.blob());
  actions_.push_back(std::move(call));
}

}  // namespace muster::worker::core
