// What the coordinator orders.
#include <utility>

#include "worker/core/worker_core.h"

namespace muster::worker::core {

void WorkerCore::OnWelcome(const v1::Welcome& welcome) {
  if (identity_.cluster_id().empty()) {
    identity_.set_cluster_id(welcome.cluster_id());
    actions_.push_back(RecordClusterId{welcome.cluster_id()});
    Say("joined cluster " + welcome.cluster_id());
  } else if (identity_.cluster_id() != welcome.cluster_id()) {
    actions_.push_back(EndWorker{"this worker belongs to cluster " + identity_.cluster_id() +
                                 ", the coordinator serves cluster " + welcome.cluster_id() +
                                 "; point it at its own coordinator, or give it an empty --state"});
    return;
  }
  const uint32_t interval = welcome_.heartbeat_interval_ms();
  welcome_ = welcome;
  if (welcome_.heartbeat_interval_ms() == 0) welcome_.set_heartbeat_interval_ms(interval);
  stream_ = Stream::kWelcomed;
  lost_at_ms_ = -1;
  SendHeartbeat();  // what changed since the hello
  SendUnanswered();
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.pruned.empty()) continue;
    v1::WorkerMessage message;
    v1::CheckpointsPruned& pruned = *message.mutable_pruned();
    pruned.set_job_id(key.job.value());
    pruned.set_attempt(key.attempt.value());
    for (const v1::CheckpointRef& ref : attempt.pruned) *pruned.add_checkpoints() = ref;
    ToCoordinator(std::move(message));
  }
}

void WorkerCore::OnStart(const v1::StartRanks& start) {
  const AttemptKey key{JobId(start.job_id()), AttemptNumber(start.attempt())};
  if (LocalAttempt* known = Find(key)) return Report(key, *known);
  const auto released = released_.find(key.job);
  if (released != released_.end() && key.attempt <= released->second) {
    return RememberStopped(key, "a released attempt is not started again");
  }
  const auto newer = attempts_.upper_bound(key);
  if (newer != attempts_.end() && newer->first.job == key.job) {
    return RememberStopped(key, "attempt " + AttemptName(newer->first) + " is here");
  }
  if (RanksOn(start, identity_.node()).empty()) {
    return RememberStopped(key, "no rank is placed on " + identity_.node());
  }
  LocalAttempt& attempt = attempts_[key];
  attempt.start = start;
  std::vector<AttemptKey> older;
  for (const auto& [other_key, other] : attempts_) {
    if (other_key.job == key.job && other_key < key && IsPresent(other)) older.push_back(other_key);
  }
  bool wait = false;
  for (const AttemptKey& other_key : older) {
    v1::StopRanks stop;
    stop.set_job_id(other_key.job.value());
    stop.set_attempt(other_key.attempt.value());
    stop.set_reason("attempt " + AttemptName(key) + " takes its place");
    Stop(other_key, *Find(other_key), stop);
    const LocalAttempt* other = Find(other_key);
    wait = wait || (other != nullptr && IsPresent(*other));
  }
  if (wait) {
    attempt.phase = AttemptPhase::kWaiting;
    Say("attempt " + AttemptName(key) + " waits for the older attempt of its job to stop here");
    return Report(key, attempt);
  }
  Spawn(key, attempt);
}

void WorkerCore::OnStop(const v1::StopRanks& stop) {
  const AttemptKey key{JobId(stop.job_id()), AttemptNumber(stop.attempt())};
  LocalAttempt* attempt = Find(key);
  if (attempt == nullptr) return RememberStopped(key, "it was never here, or is forgotten");
  if (!IsPresent(*attempt)) return Report(key, *attempt);
  Stop(key, *attempt, stop);
}

void WorkerCore::OnRelease(const AttemptKey& key) {
  LocalAttempt* attempt = Find(key);
  if (attempt == nullptr) return;
  attempt->release_wanted = true;
  if (!IsPresent(*attempt)) return BeginRelease(key, *attempt);
  // Its end is on record while it still runs here: it has to go first.
  v1::StopRanks stop;
  stop.set_job_id(key.job.value());
  stop.set_attempt(key.attempt.value());
  stop.set_reason("released while it still ran here");
  Stop(key, *attempt, stop);
}

// Kept nowhere: the coordinator repeats the order until a report of the shim shows it.
void WorkerCore::OnSave(const v1::SaveNow& save) {
  const AttemptKey key{JobId(save.job_id()), AttemptNumber(save.attempt())};
  LocalAttempt* attempt = Find(key);
  if (attempt == nullptr) return;
  if (attempt->report.save() >= save.save()) return Report(key, *attempt);
  if (!attempt->shim_connected) return;
  Say("attempt " + AttemptName(key) + " is to save, order " + std::to_string(save.save()));
  v1::WorkerToShim message;
  message.mutable_save()->set_save(save.save());
  ToShim(key, std::move(message));
}

void WorkerCore::OnCommitReply(const v1::CommitReply& reply) {
  const AttemptKey key{JobId(reply.job_id()), AttemptNumber(reply.attempt())};
  LocalAttempt* attempt = Find(key);
  if (attempt == nullptr) return;
  attempt->requests.erase(reply.step());
  v1::WorkerToShim message;
  *message.mutable_commit_reply() = reply;
  ToShim(key, std::move(message));
}

void WorkerCore::OnCommitAck(const v1::CommitAck& ack) {
  const AttemptKey key{JobId(ack.job_id()), AttemptNumber(ack.attempt())};
  LocalAttempt* attempt = Find(key);
  if (attempt == nullptr) return;
  attempt->done.erase(ack.step());
  v1::WorkerToShim message;
  *message.mutable_commit_ack() = ack;
  ToShim(key, std::move(message));
}

// The coordinator repeats the order until it has the report.
void WorkerCore::OnTest(uint64_t test) {
  if (test == 0 || test == testing_) return;
  if (test == test_report_.test()) return SendTestReport();
  test_report_.Clear();  // of a test nobody waits for any more
  testing_ = test;
  Say("test " + std::to_string(test) + " of this node starts");
  actions_.push_back(StartTest{test});
}

void WorkerCore::OnTestAck(uint64_t test) {
  if (test == test_report_.test()) test_report_.Clear();
}

// An attempt that has come since may be about to go on from it.
void WorkerCore::OnDropVault(const v1::DropVault& drop) {
  for (const std::string& uid : drop.job_uids()) {
    if (!HasAttemptOf(uid)) actions_.push_back(DropVault{uid});
  }
}

void WorkerCore::RememberStopped(const AttemptKey& key, const std::string& why) {
  LocalAttempt& attempt = attempts_[key];
  attempt.phase = AttemptPhase::kStopped;
  attempt.start.set_job_id(key.job.value());
  attempt.start.set_attempt(key.attempt.value());
  attempt.report.set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  Say("attempt " + AttemptName(key) + " counts as stopped here: " + why);
  Report(key, attempt);
}

}  // namespace muster::worker::core
