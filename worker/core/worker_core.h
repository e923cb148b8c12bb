// Decides what a worker does: orders and observations in, actions out.
//
// An attempt's ranks live in a shim process, so this state may be lost at any moment and is built
// again from the attempt folders (AttemptFound) and from what the shims report. Every order is
// idempotent. Nothing is done for an epoch lower than the highest seen, nor for a second
// coordinator of that epoch; a higher one is recorded before it is obeyed. An attempt is reported
// in every hello and heartbeat until it is released.
//
// Time:    `now_ms` never goes back. Nothing here reads a clock.
// Threads: none. Owned by the worker's event loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "worker/core/action.h"
#include "worker/core/input.h"
#include "worker/core/local_attempt.h"

namespace muster::worker::core {

using Actions = std::vector<Action>;

class WorkerCore {
 public:
  // `identity`: everything of the hello but its attempts.
  explicit WorkerCore(v1::WorkerHello identity);

  Actions Step(const Input& input, int64_t now_ms);

  // When the next Tick is due.
  int64_t WakeAtMs() const;

  // Every attempt found at the start has been heard of, so a hello would tell all.
  bool IsSettled() const;

  bool IsWelcomed() const { return stream_ == Stream::kWelcomed; }
  uint32_t reconnect_jitter_ms() const { return welcome_.reconnect_jitter_ms(); }
  const std::map<AttemptKey, LocalAttempt>& attempts() const { return attempts_; }

 private:
  enum class Stream { kClosed, kHelloSent, kWelcomed };

  void On(const AttemptFound& found);
  void On(const StreamOpened&);
  void On(const StreamClosed&);
  void On(const FromCoordinator& from);
  void On(const SpawnFailed& failed);
  void On(const ShimConnected& shim);
  void On(const ShimDisconnected& shim);
  void On(const ShimGone& shim);
  void On(const FromShim& from);
  void On(const CleanedUp& cleaned);
  void On(const ExchangeDone& done);
  void On(const TestDone& done);
  void On(const VaultHolds& vault);
  void On(const Ending& ending);
  void On(const Tick&);

  // orders.cc
  void OnWelcome(const v1::Welcome& welcome);
  void OnStart(const v1::StartRanks& start);
  void OnStop(const v1::StopRanks& stop);
  void OnRelease(const AttemptKey& key);
  void OnSave(const v1::SaveNow& save);
  void OnCommitReply(const v1::CommitReply& reply);
  void OnCommitAck(const v1::CommitAck& ack);
  void OnTest(uint64_t test);
  void OnTestAck(uint64_t test);
  void OnDropVault(const v1::DropVault& drop);
  void RememberStopped(const AttemptKey& key, const std::string& why);

  // attempt life, attempts.cc
  void Spawn(const AttemptKey& key, LocalAttempt& attempt);
  void Stop(const AttemptKey& key, LocalAttempt& attempt, const v1::StopRanks& stop);
  void SendStop(const AttemptKey& key, const LocalAttempt& attempt);
  void BecomeStopped(const AttemptKey& key, LocalAttempt& attempt, v1::AttemptReport report);
  void BeginRelease(const AttemptKey& key, LocalAttempt& attempt);
  void Forget(const AttemptKey& key);
  void StartWaiting(JobId job);
  void OpenExchangeIfRoot(const AttemptKey& key, const LocalAttempt& attempt);
  void OnShimReport(const AttemptKey& key, LocalAttempt& attempt, v1::AttemptReport report);
  void OnShimExchange(const AttemptKey& key, const LocalAttempt& attempt,
                      const v1::ShimExchange& exchange);

  // towards the coordinator
  void Report(const AttemptKey& key, LocalAttempt& attempt);
  void SendUnanswered();
  void SendTestReport();
  void SendHeartbeat();
  v1::AttemptReport Numbered(const AttemptKey& key, const v1::AttemptReport& report);
  void ToCoordinator(v1::WorkerMessage message);
  void ToShim(const AttemptKey& key, v1::WorkerToShim message);
  void Say(std::string text);
  void Warn(std::string text);
  LocalAttempt* Find(const AttemptKey& key);
  bool HasAttemptOf(const std::string& job_uid) const;

  v1::WorkerHello identity_;
  v1::Welcome welcome_;
  Stream stream_ = Stream::kClosed;
  std::map<AttemptKey, LocalAttempt> attempts_;
  std::map<JobId, AttemptNumber> released_;  // highest; a late order for one is not obeyed
  std::vector<std::string> vault_jobs_;      // uids
  uint64_t testing_ = 0;                     // the test that runs; 0 = none
  v1::NodeTestReport test_report_;           // not acknowledged; its number 0 = none
  uint64_t reports_ = 0;
  uint64_t heartbeats_ = 0;
  int64_t heartbeat_at_ms_ = 0;
  int64_t repeat_at_ms_ = 0;
  int64_t lost_at_ms_ = -1;  // since when there is no coordinator; -1 = there is, or said already
  int64_t now_ms_ = 0;
  Actions actions_;
};

}  // namespace muster::worker::core
