// The worker's event loop: owns the core, feeds it what happens, does what it decides.
//
// On SIGTERM and SIGINT it ends and leaves the ranks to their shims, so that a worker can be
// restarted under running jobs; the shims end them if no worker comes back within the orphan grace.
//
// Threads: Create and Run from one thread. gRPC's threads and clean-ups reach it by the mailbox.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/core/worker_core.h"
#include "worker/daemon/mailbox.h"
#include "worker/daemon/options.h"
#include "worker/daemon/self_test.h"
#include "worker/daemon/shim_link.h"
#include "worker/daemon/state_folder.h"
#include "worker/rpc/coordinator_link.h"
#include "worker/rpc/peer_server.h"
#include "worker/vault/drainer.h"
#include "worker/vault/fetch.h"
#include "worker/vault/intake.h"
#include "worker/vault/replicator.h"
#include "worker/vault/vault.h"

namespace muster::worker::daemon {

class Worker {
 public:
  // SIGTERM and SIGINT have to be blocked in every thread already.
  static absl::StatusOr<std::unique_ptr<Worker>> Create(const Options& options);
  ~Worker();

  // Until a signal (ok) or until it cannot serve this cluster (why).
  absl::Status Run();

 private:
  Worker(Options options, StateFolder state);
  absl::Status ListenForPeers();
  absl::Status Begin();
  absl::Status OpenVault(uint32_t slots);
  void TellVault();
  void FindAttempts();
  void WaitForEvents(int64_t now_ms);
  void TurnShims(int64_t now_ms);
  void MaybeOpenStream(int64_t now_ms);
  void Feed(core::Input input) { inputs_.push_back(std::move(input)); }
  void StepAll();
  void Watch(const core::AttemptKey& key, int child);
  void AddVault(const v1::StartRanks& start, v1::ShimOrder* order);
  void KeepSlotsOf(const v1::StartRanks& start);
  void OnStreamClosed(const absl::Status& status);

  // One per kind of action.
  void Do(const core::RecordEpoch& action);
  void Do(const core::RecordClusterId& action);
  void Do(core::SendToCoordinator& action);
  void Do(const core::DropStream& action);
  void Do(const core::EndWorker& action);
  void Do(const core::SpawnShim& action);
  void Do(const core::SendToShim& action);
  void Do(const core::CleanUp& action);
  void Do(const core::RemoveFolder& action);
  void Do(const core::OpenExchange& action);
  void Do(const core::CloseExchange& action);
  void Do(const core::CallExchange& action);
  void Do(const core::ExchangeOver& action);
  void Do(const core::PublishRanks& action);
  void Do(const core::StartTest& action);
  void Do(const core::DropVault& action);
  void Do(const core::Note& action);

  const Options options_;
  StateFolder state_;
  // Shared with whatever may still post when the loop has ended.
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  const std::shared_ptr<rpc::ExchangeBoard> board_ = std::make_shared<rpc::ExchangeBoard>();
  const std::shared_ptr<rpc::LiveRanks> live_ranks_ = std::make_shared<rpc::LiveRanks>();
  const rpc::CoordinatorAddress coordinator_;
  std::unique_ptr<core::WorkerCore> core_;
  std::unique_ptr<rpc::CoordinatorLink> link_;
  std::map<core::AttemptKey, std::unique_ptr<ShimLink>> shims_;
  SelfTest self_test_;
  vault::Vault vault_;
  std::unique_ptr<vault::Intake> intake_;
  std::unique_ptr<rpc::PeerServer> peers_;  // uses the intake
  vault::Drainer drainer_;
  vault::Replicator replicator_;
  vault::Fetcher fetcher_;
  std::deque<core::Input> inputs_;
  std::vector<std::thread> cleaners_;
  const std::shared_ptr<std::atomic<bool>> ended_ = std::make_shared<std::atomic<bool>>(false);
  absl::Status result_;
  rpc::ReconnectDelay delay_;
  std::mt19937_64 random_{std::random_device{}()};
  std::string address_;  // of the stream that is open or was opened last
  std::string trouble_;  // the last one said, so that it is said once
  bool stream_open_ = false;
  int64_t open_at_ms_ = 0;
  int64_t settle_by_ms_ = 0;
  int signals_ = -1;
};

}  // namespace muster::worker::daemon
