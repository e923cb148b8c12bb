#include "worker/core/worker_core.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace muster::worker::core {
namespace {

constexpr int64_t kRepeatMs = 5000;  // unanswered commit messages, on a living stream
constexpr uint32_t kHeartbeatDefaultMs = 1000;

}  // namespace

WorkerCore::WorkerCore(v1::WorkerHello identity) : identity_(std::move(identity)) {
  identity_.clear_attempts();
  welcome_.set_heartbeat_interval_ms(kHeartbeatDefaultMs);
}

Actions WorkerCore::Step(const Input& input, int64_t now_ms) {
  now_ms_ = now_ms;
  actions_.clear();
  std::visit([this](const auto& one) { On(one); }, input);
  return std::exchange(actions_, {});
}

int64_t WorkerCore::WakeAtMs() const {
  int64_t at = std::numeric_limits<int64_t>::max();
  if (IsWelcomed()) at = heartbeat_at_ms_;
  if (!IsWelcomed() && lost_at_ms_ >= 0 && welcome_.lease_ms() > 0) {
    at = std::min<int64_t>(at, lost_at_ms_ + welcome_.lease_ms());
  }
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.phase == AttemptPhase::kReleasing && attempt.exit_deadline_ms > 0) {
      at = std::min(at, attempt.exit_deadline_ms);
    }
  }
  return at;
}

bool WorkerCore::IsSettled() const {
  return std::none_of(attempts_.begin(), attempts_.end(), [](const auto& entry) {
    return entry.second.phase == AttemptPhase::kStarting ||
           entry.second.phase == AttemptPhase::kCleaning;
  });
}

void WorkerCore::On(const StreamOpened&) {
  stream_ = Stream::kHelloSent;
  v1::WorkerMessage message;
  v1::WorkerHello& hello = *message.mutable_hello();
  hello = identity_;
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.phase == AttemptPhase::kReleasing) continue;
    *hello.add_attempts() = Numbered(key, attempt.report);
  }
  actions_.push_back(SendToCoordinator{std::move(message)});
}

void WorkerCore::On(const StreamClosed&) {
  if (stream_ == Stream::kWelcomed) lost_at_ms_ = now_ms_;
  stream_ = Stream::kClosed;
}

void WorkerCore::On(const FromCoordinator& from) {
  const v1::CoordinatorMessage& message = from.message;
  if (message.epoch() < identity_.highest_epoch()) {
    Warn("refused an order of epoch " + std::to_string(message.epoch()) + ": epoch " +
         std::to_string(identity_.highest_epoch()) + " has been seen; dropping that stream");
    actions_.push_back(DropStream{"order of an old epoch"});
    return;
  }
  const bool higher = message.epoch() > identity_.highest_epoch();
  const bool nonce_known = identity_.epoch_nonce() != 0 && message.epoch_nonce() != 0;
  if (!higher && nonce_known && message.epoch_nonce() != identity_.epoch_nonce()) {
    Warn("refused an order of a second coordinator of epoch " + std::to_string(message.epoch()) +
         ": two run on copies of one state folder; dropping that stream");
    actions_.push_back(DropStream{"order of another coordinator of this epoch"});
    return;
  }
  if (higher || identity_.epoch_nonce() != message.epoch_nonce()) {
    identity_.set_highest_epoch(message.epoch());
    if (higher || message.epoch_nonce() != 0) identity_.set_epoch_nonce(message.epoch_nonce());
    actions_.push_back(RecordEpoch{Epoch(message.epoch()), identity_.epoch_nonce()});
  }
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome:
      return OnWelcome(message.welcome());
    case v1::CoordinatorMessage::kStart:
      return OnStart(message.start());
    case v1::CoordinatorMessage::kStop:
      return OnStop(message.stop());
    case v1::CoordinatorMessage::kRelease:
      return OnRelease(AttemptKey{JobId(message.release().job_id()),
                                  AttemptNumber(message.release().attempt())});
    case v1::CoordinatorMessage::kCommitReply:
      return OnCommitReply(message.commit_reply());
    case v1::CoordinatorMessage::kCommitAck:
      return OnCommitAck(message.commit_ack());
    case v1::CoordinatorMessage::kTest:
      return OnTest(message.test().test());
    case v1::CoordinatorMessage::kTestAck:
      return OnTestAck(message.test_ack().test());
    case v1::CoordinatorMessage::kSave:
      return OnSave(message.save());
    case v1::CoordinatorMessage::kDropVault:
      return OnDropVault(message.drop_vault());
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      return Warn("the coordinator sent a message this worker does not know; it may be newer");
  }
}

void WorkerCore::On(const ExchangeDone& done) {
  if (Find(done.key) == nullptr) return;
  v1::WorkerToShim message;
  *message.mutable_exchange_result() = done.result;
  ToShim(done.key, std::move(message));
}

void WorkerCore::On(const TestDone& done) {
  if (done.test != testing_) return;  // another one was ordered meanwhile
  testing_ = 0;
  test_report_.set_test(done.test);
  test_report_.set_passed(done.passed);
  test_report_.set_text(done.text);
  Say("test " + std::to_string(done.test) + (done.passed ? " passed: " : " failed: ") + done.text);
  SendTestReport();
}

void WorkerCore::On(const VaultHolds& vault) { vault_jobs_ = vault.job_uids; }

void WorkerCore::On(const Ending& ending) {
  v1::WorkerMessage message;
  message.mutable_goodbye()->set_reason(ending.reason);
  ToCoordinator(std::move(message));
}

void WorkerCore::On(const Tick&) {
  if (IsWelcomed()) {
    if (now_ms_ >= heartbeat_at_ms_) SendHeartbeat();
    if (now_ms_ >= repeat_at_ms_) SendUnanswered();
  } else if (lost_at_ms_ >= 0 && welcome_.lease_ms() > 0 &&
             now_ms_ >= lost_at_ms_ + welcome_.lease_ms()) {
    lost_at_ms_ = -1;
    Warn("no coordinator for longer than the lease of " + std::to_string(welcome_.lease_ms()) +
         " ms: ranks run on, no checkpoint can be committed until one is back");
  }
  std::vector<AttemptKey> overdue;
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.phase == AttemptPhase::kReleasing && attempt.exit_deadline_ms > 0 &&
        now_ms_ >= attempt.exit_deadline_ms) {
      overdue.push_back(key);
    }
  }
  for (const AttemptKey& key : overdue) {
    Find(key)->exit_deadline_ms = 0;
    Warn("attempt " + AttemptName(key) + ": its shim does not end; killing it");
    actions_.push_back(CleanUp{key});
  }
}

void WorkerCore::Report(const AttemptKey& key, LocalAttempt& attempt) {
  if (!IsWelcomed()) return;  // the hello and the first heartbeat tell it
  v1::WorkerMessage message;
  *message.mutable_report() = Numbered(key, attempt.report);
  ToCoordinator(std::move(message));
}

void WorkerCore::SendHeartbeat() {
  v1::WorkerMessage message;
  message.mutable_heartbeat()->set_sequence(++heartbeats_);
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.phase == AttemptPhase::kReleasing) continue;
    *message.mutable_heartbeat()->add_attempts() = Numbered(key, attempt.report);
  }
  for (const std::string& uid : vault_jobs_) {
    if (!HasAttemptOf(uid)) message.mutable_heartbeat()->add_vault_jobs(uid);
  }
  heartbeat_at_ms_ = now_ms_ + welcome_.heartbeat_interval_ms();
  ToCoordinator(std::move(message));
}

void WorkerCore::SendTestReport() {
  if (test_report_.test() == 0) return;
  v1::WorkerMessage message;
  *message.mutable_test_report() = test_report_;
  ToCoordinator(std::move(message));
}

void WorkerCore::SendUnanswered() {
  repeat_at_ms_ = now_ms_ + kRepeatMs;
  SendTestReport();
  for (const auto& [key, attempt] : attempts_) {
    for (const auto& [step, request] : attempt.requests) {
      v1::WorkerMessage message;
      *message.mutable_commit_request() = request;
      ToCoordinator(std::move(message));
    }
    for (const auto& [step, done] : attempt.done) {
      v1::WorkerMessage message;
      *message.mutable_commit_done() = done;
      ToCoordinator(std::move(message));
    }
  }
}

// The life of the worker stands in the upper half, so a number never comes back after a restart.
v1::AttemptReport WorkerCore::Numbered(const AttemptKey& key, const v1::AttemptReport& report) {
  v1::AttemptReport numbered = report;
  numbered.set_job_id(key.job.value());
  numbered.set_attempt(key.attempt.value());
  numbered.set_report((identity_.incarnation() << 32) | ++reports_);
  if (numbered.state() == v1::LOCAL_ATTEMPT_STATE_UNSPECIFIED) {
    numbered.set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  }
  return numbered;
}

void WorkerCore::ToCoordinator(v1::WorkerMessage message) {
  if (!IsWelcomed()) return;
  actions_.push_back(SendToCoordinator{std::move(message)});
}

void WorkerCore::ToShim(const AttemptKey& key, v1::WorkerToShim message) {
  actions_.push_back(SendToShim{key, std::move(message)});
}

void WorkerCore::Say(std::string text) { actions_.push_back(Note{false, std::move(text)}); }
void WorkerCore::Warn(std::string text) { actions_.push_back(Note{true, std::move(text)}); }

bool WorkerCore::HasAttemptOf(const std::string& job_uid) const {
  return std::any_of(attempts_.begin(), attempts_.end(),
                     [&](const auto& entry) { return entry.second.start.job_uid() == job_uid; });
}

LocalAttempt* WorkerCore::Find(const AttemptKey& key) {
  const auto found = attempts_.find(key);
  return found == attempts_.end() ? nullptr : &found->second;
}

}  // namespace muster::worker::core
