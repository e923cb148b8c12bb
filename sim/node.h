// A machine: the worker's state folder, the worker process with the real core inside, and the
// shims, which outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "sim/agenda.h"
#include "sim/shim.h"
#include "worker/core/worker_core.h"

namespace muster::sim {

class World;
struct Disk;

class Node {
 public:
  Node(World* world, size_t index);

  const std::string& name() const { return name_; }
  uint64_t stream() const { return stream_; }
  int64_t UnixMicros() const;
  bool worker_alive() const { return core_ != nullptr; }
  bool powered() const { return powered_; }
  // Its worker is connected and awake; since when.
  std::optional<Micros> InTouchSince() const;

  void PowerOn();
  void PowerOff();
  void StartWorker();
  void CrashWorker();
  void PauseWorker(Micros span);
  bool CrashShim(uint64_t which);
  bool CrashRank(uint64_t which);

  // From the network.
  void OnCoordinatorMessage(uint64_t stream, v1::CoordinatorMessage message);
  void OnStreamClosed(uint64_t stream, const absl::Status& status);
  // From the shims.
  void OnShimMessage(const worker::core::AttemptKey& key, v1::ShimToWorker message);
  void OnShimGone(const worker::core::AttemptKey& key);
  void WriteReport(const worker::core::AttemptKey& key, const v1::AttemptReport& report);
  Shim* FindShim(const worker::core::AttemptKey& key);
  const std::map<worker::core::AttemptKey, std::unique_ptr<Shim>>& shims() const { return shims_; }

 private:
  // What the state folder holds of one attempt.
  struct Folder {
    v1::StartRanks start;
    std::optional<v1::AttemptReport> last;
  };
  using Key = worker::core::AttemptKey;

  int64_t NowMs() const;
  void Feed(worker::core::Input input);
  void StepAll();
  void WantWake();
  void MaybeOpen();
  void RetryOpen();
  void Refuse(const absl::Status& status);
  std::string CheckOrder(const v1::CoordinatorMessage& message, Disk& from);
  bool DiesInStep();

  void Do(const worker::core::RecordEpoch& action);
  void Do(const worker::core::RecordClusterId& action);
  void Do(worker::core::SendToCoordinator& action);
  void Do(const worker::core::DropStream& action);
  void Do(const worker::core::EndWorker& action);
  void Do(const worker::core::SpawnShim& action);
  void Do(const worker::core::SendToShim& action);
  void Do(const worker::core::CleanUp& action);
  void Do(const worker::core::RemoveFolder& action);
  void Do(const worker::core::OpenExchange&) {}
  void Do(const worker::core::CloseExchange&) {}
  void Do(const worker::core::CallExchange&) {}
  void Do(const worker::core::ExchangeOver&) {}
  void Do(const worker::core::PublishRanks&) {}
  void Do(const worker::core::StartTest& action);
  void Do(const worker::core::DropVault&) {}  // no rank here keeps anything in memory
  void Do(const worker::core::Note& action);

  World* const world_;
  const size_t index_;
  const std::string name_;
  bool powered_ = false;
  // The state folder.
  uint64_t incarnation_ = 0;
  uint64_t epoch_ = 0;
  uint64_t epoch_nonce_ = 0;
  std::string cluster_id_;
  std::map<Key, Folder> folders_;
  std::map<uint64_t, const Disk*> obeyed_;  // by epoch: whose orders
  // Processes.
  std::unique_ptr<worker::core::WorkerCore> core_;
  std::map<Key, std::unique_ptr<Shim>> shims_;
  uint64_t life_ = 0;
  bool paused_ = false;
  bool stepping_ = false;
  bool dropped_ = false;  // it refused the order just given
  double drift_ = 0;
  int64_t clock_offset_us_ = 0;
  std::deque<worker::core::Input> inputs_;
  uint64_t stream_ = 0;
  uint32_t failures_ = 0;
  uint64_t testing_ = 0;
  Micros open_at_ = 0;
  Micros settle_by_ = 0;
  Micros wake_at_ = -1;
  Micros in_touch_since_ = -1;
};

}  // namespace muster::sim
