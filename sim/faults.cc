#include "sim/faults.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/coordinator_process.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/world.h"

namespace muster::sim {

void Faults::Every(Micros mean, const char* name, bool (Faults::*act)()) {
  if (mean <= 0) return;
  world_->agenda.After(world_->dice.Exponential(mean), [this, mean, name, act] {
    if (!world_->faults_on) return;
    if ((this->*act)()) world_->CountFault(name);
    Every(mean, name, act);
  });
}

void Faults::Start() {
  const Case& conf = world_->conf;
  Every(conf.coordinator_crash, "coordinator.crash", &Faults::CrashCoordinator);
  Every(conf.coordinator_power, "coordinator.power", &Faults::CutPower);
  Every(conf.coordinator_pause, "coordinator.pause", &Faults::PauseCoordinator);
  Every(conf.coordinator_copy, "coordinator.copy", &Faults::CopyCoordinator);
  Every(conf.disk_full, "disk.full", &Faults::FillDisk);
  Every(conf.disk_corrupt, "disk.corrupt", &Faults::CorruptDisk);
  Every(conf.network_cut, "network.cut", &Faults::CutStream);
  Every(conf.network_partition, "network.partition", &Faults::Partition);
  Every(conf.network_oneway, "network.oneway", &Faults::OneWay);
  Every(conf.network_split, "network.split", &Faults::Split);
  Every(conf.worker_crash, "worker.crash", &Faults::CrashWorker);
  Every(conf.worker_pause, "worker.pause", &Faults::PauseWorker);
  Every(conf.shim_crash, "shim.crash", &Faults::CrashShim);
  Every(conf.rank_crash, "rank.crash", &Faults::CrashRank);
  Every(conf.node_power, "node.power", &Faults::PowerNode);
  Every(conf.clock_jump, "clock.jump", &Faults::JumpClock);
}

size_t Faults::AnyNode() { return world_->dice.Below(world_->nodes.size()); }

Micros Faults::Away() { return 50 * kMilli + world_->dice.Exponential(world_->conf.down); }

void Faults::BootLater(CoordinatorProcess* coordinator) {
  world_->agenda.After(Away(), [coordinator] { coordinator->Boot(); });
}

bool Faults::CrashCoordinator() {
  if (!world_->leader()->alive()) return false;
  world_->leader()->Crash(false);
  BootLater(world_->leader());
  return true;
}

bool Faults::CutPower() {
  if (!world_->leader()->alive()) return false;
  world_->leader()->Crash(true);
  BootLater(world_->leader());
  return true;
}

bool Faults::PauseCoordinator() {
  if (!world_->leader()->alive() || world_->leader()->paused()) return false;
  world_->leader()->Pause(Away() * 2);
  return true;
}

// The old one goes on, awake or asleep; callers and workers that dial anew reach the new one.
bool Faults::CopyCoordinator() {
  CoordinatorProcess* old = world_->leader();
  if (world_->coordinators.size() >= 4 || !old->alive()) return false;
  auto disk = std::make_unique<Disk>(&world_->conf);
  disk->is_copy = true;
  disk->records = old->disk().records;
  // Copied some time ago: the newest part is missing.
  const size_t missing = world_->dice.Below(std::min<size_t>(disk->records.size() / 4, 40) + 1);
  disk->records.resize(disk->records.size() - missing);
  disk->durable = disk->records.size();
  const std::string name =
      "coord" + std::string(1, static_cast<char>('A' + world_->coordinators.size()));
  world_->coordinators.push_back(
      std::make_unique<CoordinatorProcess>(world_, name, std::move(disk)));
  CoordinatorProcess* fresh = world_->coordinators.back().get();
  world_->SetLeader(fresh);
  if (world_->dice.Chance(0.5)) old->Pause(Away() * 3);
  BootLater(fresh);
  return true;
}

bool Faults::FillDisk() {
  if (!world_->leader()->alive()) return false;
  world_->leader()->disk().full = true;
  return true;
}

bool Faults::CorruptDisk() {
  if (!world_->leader()->alive()) return false;
  world_->leader()->Crash(false);
  world_->leader()->disk().corrupt = true;
  BootLater(world_->leader());
  return true;
}

bool Faults::CutStream() { return world_->network->Cut(AnyNode()); }

bool Faults::Partition() {
  world_->network->Partition(AnyNode(), true, true, world_->agenda.now() + Away() * 2);
  return true;
}

bool Faults::OneWay() {
  const bool up = world_->dice.Chance(0.5);
  world_->network->Partition(AnyNode(), up, !up, world_->agenda.now() + Away() * 2);
  return true;
}

bool Faults::Split() {
  const Micros until = world_->agenda.now() + Away() * 2;
  for (size_t node = 0; node < world_->nodes.size(); ++node) {
    if (world_->dice.Chance(0.5)) world_->network->Partition(node, true, true, until);
  }
  return true;
}

bool Faults::CrashWorker() {
  Node* node = world_->nodes[AnyNode()].get();
  if (!node->worker_alive()) return false;
  node->CrashWorker();
  world_->agenda.After(Away(), [node] { node->StartWorker(); });
  return true;
}

bool Faults::PauseWorker() {
  Node* node = world_->nodes[AnyNode()].get();
  if (!node->worker_alive()) return false;
  node->PauseWorker(Away() * 2);
  return true;
}

bool Faults::CrashShim() { return world_->nodes[AnyNode()]->CrashShim(world_->dice.Next()); }

bool Faults::CrashRank() { return world_->nodes[AnyNode()]->CrashRank(world_->dice.Next()); }

bool Faults::PowerNode() {
  Node* node = world_->nodes[AnyNode()].get();
  if (!node->powered()) return false;
  node->PowerOff();
  world_->agenda.After(Away() * 2, [node] { node->PowerOn(); });
  return true;
}

bool Faults::JumpClock() {
  world_->leader()->SetClock(absl::Microseconds(world_->dice.Between(-kHour, kHour)));
  return true;
}

void Faults::HealAll() {
  world_->network->HealAll();
  for (const auto& node : world_->nodes) {
    if (!node->powered()) {
      node->PowerOn();
    } else {
      node->StartWorker();
    }
  }
  // An operator leaves one in charge, the one with the highest epoch, and starts it anew.
  for (const auto& other : world_->coordinators) {
    if (other->disk().view.epoch() > world_->leader()->disk().view.epoch()) {
      world_->SetLeader(other.get());
    }
  }
  for (const auto& other : world_->coordinators) {
    if (other.get() != world_->leader()) other->Retire();
  }
  if (world_->forked()) world_->leader()->Crash(false);
  world_->leader()->disk().full = false;
  world_->leader()->disk().corrupt = false;
  world_->leader()->Boot();
}

}  // namespace muster::sim
