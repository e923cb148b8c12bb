// What goes wrong, when and where: each kind of fault at its own rate.
#pragma once

#include <string>

#include "sim/agenda.h"

namespace muster::sim {

class CoordinatorProcess;
class World;

class Faults {
 public:
  explicit Faults(World* world) : world_(world) {}

  void Start();
  // Everything that is down comes up, all walls fall.
  void HealAll();

 private:
  void Every(Micros mean, const char* name, bool (Faults::*act)());
  bool CrashCoordinator();
  bool CutPower();
  bool PauseCoordinator();
  bool CopyCoordinator();
  bool FillDisk();
  bool CorruptDisk();
  bool CutStream();
  bool Partition();
  bool OneWay();
  bool Split();
  bool CrashWorker();
  bool PauseWorker();
  bool CrashShim();
  bool CrashRank();
  bool PowerNode();
  bool JumpClock();
  size_t AnyNode();
  Micros Away();
  void BootLater(CoordinatorProcess* coordinator);

  World* const world_;
};

}  // namespace muster::sim
