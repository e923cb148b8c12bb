// The streams between workers and coordinators, and what becomes of what is sent on them.
//
// A stream keeps its order, as TCP does; nothing inside it is lost or doubled. What happens to it
// is that it breaks: what was under way is lost, and each side learns of it in its own time (a side
// that is not told notices by keepalive, within `network.half_open`). What one connection still
// carries may arrive after the next one has said hello. While a node is cut off in one direction,
// messages of that direction wait, and arrive late when the stream lives that long.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/worker_stream.pb.h"
#include "sim/agenda.h"

namespace muster::sim {

class World;
class CoordinatorProcess;
struct Disk;

struct Stream {
  uint64_t id = 0;  // also the session at the coordinator
  size_t node = 0;
  uint64_t worker_life = 0;
  CoordinatorProcess* coordinator = nullptr;
  uint64_t coordinator_life = 0;
  bool worker_open = true;       // as the worker sees it
  bool coordinator_open = true;  // as the coordinator sees it
  bool hello_arrived = false;
  bool broken = false;  // carries nothing more
  Micros up_at = 0;     // the newest arrival planned, per direction
  Micros down_at = 0;
  std::deque<std::function<void()>> up_held;  // waiting for a partition to end
  std::deque<std::function<void()>> down_held;
};

class Network {
 public:
  explicit Network(World* world) : world_(world) {}

  // A worker dials the coordinator that its address names. Failure comes as OnStreamClosed.
  uint64_t Open(size_t node, uint64_t worker_life);
  void FromWorker(uint64_t stream, v1::WorkerMessage message);
  void FromCoordinator(uint64_t stream, v1::CoordinatorMessage message);
  void CloseByWorker(uint64_t stream);
  void CloseByCoordinator(uint64_t stream, const absl::Status& status);

  // A process or machine is gone. `silently`: nobody is told (power, partition).
  void WorkerGone(size_t node, bool silently);
  void CoordinatorGone(CoordinatorProcess* coordinator, bool silently);
  // Breaks the node's stream in the middle; both sides are told soon, or notice late.
  bool Cut(size_t node);
  // Nothing passes in the given directions until `until`.
  void Partition(size_t node, bool up, bool down, Micros until);
  void HealAll();
  bool CutOff(size_t node) const;

  // The journal of the coordinator at the other end; nullptr = unknown.
  Disk* DiskOf(uint64_t stream);

  Micros Delay();

 private:
  struct Wall {
    Micros up_until = 0;
    Micros down_until = 0;
  };
  bool UpBlocked(size_t node) const;
  bool DownBlocked(size_t node) const;
  void Arrive(uint64_t stream, bool up, std::function<void()> act);
  void Flush(size_t node);
  void Break(Stream& stream, const std::string& why, Micros worker_in, Micros coordinator_in);
  void TellWorker(uint64_t stream, const absl::Status& status, Micros in);
  void TellCoordinator(uint64_t stream, const std::string& why, Micros in);
  Micros LateNotice(size_t node);
  void MaybeForget(uint64_t stream);
  Stream* Find(uint64_t stream);
  Stream* OfNode(size_t node);

  World* const world_;
  std::map<uint64_t, Stream> streams_;
  std::map<size_t, Wall> walls_;
  uint64_t last_ = 0;
};

}  // namespace muster::sim
