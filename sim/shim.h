// The process that keeps one attempt's ranks on one node, and those ranks.
//
// It does what worker/shim does: the first rank that ends badly takes the others along, a stop has
// a grace that later orders only shorten, reports are written down before they are sent, and what
// is unanswered is told again to the next worker. Its ranks may be left over when it dies.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "muster/v1/shim.pb.h"
#include "sim/agenda.h"
#include "worker/core/input.h"

namespace muster::sim {

class Node;
class Training;
class World;

class Shim {
 public:
  Shim(World* world, Node* node, const v1::StartRanks& start);
  ~Shim();
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

  void Spawn();
  bool alive() const { return alive_; }
  bool HasProcesses() const;  // a rank of it lives, or it does
  bool HasRanks() const;
  bool HoldsRankZero() const { return !ranks_.empty() && ranks_.front().rank == 0; }
  bool stopped() const { return stopped_; }
  bool connected() const { return connected_; }
  const v1::StartRanks& start() const { return start_; }
  const std::vector<uint32_t>& slots() const { return slots_; }
  Node& node() const { return *node_; }

  void WorkerCame();
  void WorkerWent();
  void FromWorker(const v1::WorkerToShim& message);
  // The process alone; its ranks run on, cut off from everybody.
  void Die();
  // Everything, at once: the machine went, or it is being cleaned up.
  void KillAll();
  bool CrashRank(uint64_t which);

  // From the training this is part of.
  void RanksExit(int code);
  void RequestCommit(uint64_t step, const std::string& manifest);
  void TellDone(uint64_t step, const std::string& manifest);
  void TellPruned(const std::vector<std::pair<uint64_t, uint64_t>>& gone);

 private:
  struct Rank {
    uint32_t rank = 0;
    v1::RankState state = v1::RANK_STATE_UNSPECIFIED;
    int exit_code = 0;
    int signal = 0;
    bool by_us = false;
    bool hello = false;
    int64_t exit_unix_us = 0;
  };
  void Hello(size_t index);
  void Exit(size_t index, int code, int signal, bool by_us);
  void Stop(Micros grace);
  void Kill();
  void EndSoon();
  void MaybeStopped();
  void Report();
  void ReportLater();
  void ToWorker(v1::ShimToWorker message);
  v1::AttemptReport MakeReport() const;
  bool AllExited() const;

  World* const world_;
  Node* const node_;
  const v1::StartRanks start_;
  const worker::core::AttemptKey key_;
  Training* training_ = nullptr;
  std::vector<Rank> ranks_;
  std::vector<uint32_t> slots_;
  bool alive_ = false;
  bool connected_ = false;
  bool stopped_ = false;
  bool ending_ = false;
  bool failed_ = false;
  bool stop_ordered_ = false;
  bool killed_ = false;
  Micros kill_at_ = 0;
  uint64_t orphan_ = 0;  // counts the times a worker went
  uint64_t save_ = 0;    // the newest order to save
  uint64_t reports_ = 0;
  uint64_t rhythm_ = 0;
  std::map<uint64_t, v1::ShimToWorker> requests_;
  std::map<uint64_t, v1::ShimToWorker> done_;
  std::vector<v1::ShimToWorker> pruned_;
};

}  // namespace muster::sim
