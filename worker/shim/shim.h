// The parent of one attempt's ranks on one node: spawns them, watches them, reports them to the
// worker, and takes them down. Outlives the worker, for a while.
//
// Threads: one runs Run(); PMIx's own thread posts into its loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/shim.pb.h"
#include "worker/launch/pmix_host.h"
#include "worker/shim/commit_relay.h"
#include "worker/shim/exchange_board.h"
#include "worker/shim/local_attempt.h"
#include "worker/shim/loop.h"
#include "worker/shim/milestones.h"
#include "worker/shim/rank_process.h"
#include "worker/shim/save_troubles.h"
#include "worker/shim/worker_link.h"

namespace muster::worker::shim {

class Shim {
 public:
  // folder: absolute, with its order. SIGCHLD and SIGTERM must be blocked in every thread.
  Shim(std::string folder, launch::Launch launch);
  ~Shim();

  // Returns when the worker said so (ShimExit), when no worker came back in time, or on SIGTERM;
  // then no process of the attempt is left, nor its shared memory and temporary files.
  absl::Status Run();

 private:
  absl::Status Prepare();
  absl::Status WatchSignals();
  void SpawnRanks();
  absl::StatusOr<launch::Environment> EnvironmentOf(uint32_t rank);
  void OnSignal();
  void Reap();
  bool ReapOne();
  void Act();
  void Sweep();
  void FromRank(uint32_t rank, muster_frame_type type, const std::string& body);
  void Hello(uint32_t rank, const std::string& body);
  void ReplyToRank(uint32_t rank, muster_frame_type type, uint32_t id,
                   const absl::StatusOr<std::string>& bytes);
  void FromWorker(const v1::WorkerToShim& message);
  void SaveOrdered(uint64_t save);
  void WorkerCame();
  void Report();
  void ReportIfChanged();
  bool LooksForMilestones() const;
  void LookForMilestones();
  void EndSoon(const std::string& why);
  int64_t NextDeadline() const;
  absl::Status RemoveTraces();

  std::string folder_;
  launch::Launch launch_;
  std::string scope_;
  std::vector<uint32_t> local_ranks_;
  Loop loop_;
  LocalAttempt attempt_;
  CommitRelay commits_;
  Milestones milestones_;
  SaveTroubles save_troubles_;
  ExchangeBoard exchange_;
  WorkerLink worker_;
  std::unique_ptr<launch::PmixHost> pmix_;
  launch::LocalFacts facts_;
  std::map<uint32_t, std::unique_ptr<RankProcess>> processes_;  // by rank; kept after their end
  int signals_ = -1;
  uint64_t save_ = 0;  // the newest order to save, told to every rank
  uint64_t reports_ = 0;
  uint64_t reported_revision_ = 0;
  int64_t report_at_ms_ = 0;
  int64_t look_at_ms_ = 0;
  int64_t decide_at_ms_ = 0;
  int64_t orphan_at_ms_ = kNever;
  bool ending_ = false;
};

}  // namespace muster::worker::shim
