// A coordinator as its daemon runs it: the real core, a journal on a simulated disk, and the rule
// that nothing leaves before the records it rests on are durable (group commit, one line of
// deliveries in the order of their steps).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/cluster.h"
#include "sim/agenda.h"
#include "sim/incident_book.h"
#include "sim/journal_view.h"
#include "sim/slot_book.h"

namespace muster::sim {

class World;

// What outlives the process: the journal's records, as bytes, and what they say.
struct Disk {
  explicit Disk(const Case* chosen) : view(chosen) {}
  std::vector<std::string> records;  // durable
  JournalView view;                  // of the records, durable or not, of the living process
  SlotBook book;                     // the same; only where the case checks the ledger
  IncidentBook incidents;            // the same
  bool corrupt = false;
  bool full = false;
  bool is_copy = false;
  bool kept = true;  // false: bytes are not kept (long runs in which it never restarts)
  uint64_t durable = 0;
};

class CoordinatorProcess {
 public:
  CoordinatorProcess(World* world, std::string name, std::unique_ptr<Disk> disk);

  void Boot();
  // `power`: the machine too; what was not synced may be torn.
  void Crash(bool power);
  void Pause(Micros span);
  // Of the machine's wall clock; the process reads it once, when it starts.
  void SetClock(absl::Duration offset) { next_offset_ = offset; }
  // It is never started again.
  void Retire();

  bool serving() const { return alive_ && serving_ && !paused_; }
  bool alive() const { return alive_; }
  bool paused() const { return paused_; }
  bool machine_up() const { return machine_up_ && !paused_; }
  uint64_t life() const { return life_; }
  Disk& disk() { return *disk_; }
  const std::string& name() const { return name_; }
  const coordinator::core::Cluster* cluster() const { return cluster_.get(); }
  bool settled() const { return alive_ && line_.empty() && unsynced_.empty() && !syncing_; }

  void OnWorkerMessage(uint64_t session, v1::WorkerMessage message);
  void OnWorkerGone(uint64_t session, const std::string& why);
  // From a caller, or anything else that is an input.
  void Feed(coordinator::core::Input input);
  // The core's durable state is what its records say. Empty, or the difference.
  std::string CheckReplay() const;

 private:
  struct Item {
    uint64_t batches = 0;
    std::shared_ptr<const coordinator::core::Outcome> outcome;
  };
  struct Batch {
    std::vector<std::string> records;
    uint64_t count = 0;
  };
  absl::Time Now() const;
  void Step(const coordinator::core::Input& input);
  void Append(const std::vector<v1::Record>& records);
  void CheckBooks();
  void StartSync();
  void Synced();
  void Deliver();
  void DeliverOne(const coordinator::core::Outcome& outcome);
  void WantTick(Micros in);
  void Tick();
  void Wake();
  bool DiesInStep();
  void Restart();
  coordinator::core::Options Options() const;

  World* const world_;
  const std::string name_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<coordinator::core::Cluster> cluster_;
  bool alive_ = false;
  bool serving_ = false;
  bool paused_ = false;
  bool machine_up_ = true;
  uint64_t life_ = 0;
  Micros booted_at_ = 0;
  absl::Duration clock_offset_;
  absl::Duration next_offset_;
  bool retired_ = false;
  double drift_ = 0;
  std::deque<Item> line_;
  std::deque<Batch> unsynced_;
  size_t syncing_ = 0;  // batches in the sync under way
  uint64_t appended_ = 0;
  uint64_t durable_ = 0;
  Micros tick_at_ = 0;
  Micros no_tick_before_ = 0;
  std::vector<coordinator::core::Input> waiting_;  // while it stands still
};

// What a replay must rebuild, as text: without what workers will say again.
std::string DurableText(const coordinator::core::Cluster& cluster);

}  // namespace muster::sim
