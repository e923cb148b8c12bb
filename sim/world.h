// One simulated cluster and all that happens to it, from one seed.
//
// Time jumps from event to event. The first broken invariant ends the run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "muster/v1/job.pb.h"
#include "sim/agenda.h"
#include "sim/case.h"
#include "sim/journal_view.h"
#include "sim/random.h"
#include "sim/totals.h"
#include "sim/trace.h"

namespace muster::sim {

class Clients;
class CoordinatorProcess;
class Faults;
class Network;
class Node;
class Storage;
class Training;

class World {
 public:
  // `trace_to`: every event as text; nullptr = none.
  World(const Case& chosen, uint64_t seed_number, std::FILE* trace_to);
  ~World();

  // Runs to the end of the case, or to the first violation.
  void Run();
  bool failed() const { return !violation_.empty(); }
  const std::string& violation() const { return violation_; }

  // What the parts of the world share.
  const Case conf;
  const uint64_t seed;
  Agenda agenda;
  Random dice;
  Trace trace;
  Totals totals;
  bool faults_on = true;
  bool load_on = true;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<Network> network;
  std::unique_ptr<Clients> clients;
  std::unique_ptr<Faults> faults;
  std::map<JournalView::Key, std::unique_ptr<Training>> trainings;  // outlive the nodes
  std::vector<std::unique_ptr<Training>> trainings_over;            // another took the name
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::unique_ptr<CoordinatorProcess>> coordinators;

  // The coordinator whose address callers and workers have.
  CoordinatorProcess* leader() const { return leader_; }
  void SetLeader(CoordinatorProcess* coordinator) { leader_ = coordinator; }
  // Is the same cluster decided about in two places?
  bool forked() const { return coordinators.size() > 1; }

  void Fail(std::string violation);
  void CountFault(const std::string& name);
  void CountEnd(v1::JobState state);
  // The coordinator has caught up with what happened: what it says must be true.
  void AfterTick(CoordinatorProcess& coordinator);
  // Empty, unless the record says that training is where it had stood, and it is not.
  std::string WhyNotCaughtUp(const v1::Record& record) const;

 private:
  void Settle();
  void CheckLeftovers();
  std::string RanksLeft() const;  // where; empty: none
  void CheckQuarantineEnds();
  void CheckIncidentsEnd();
  std::optional<Micros> InTouchSince(const std::vector<PlacedShare>& shares) const;
  const Training* TrainingOf(uint64_t job, uint64_t attempt) const;
  void RunUntil(Micros until);
  std::string Unfinished() const;

  CoordinatorProcess* leader_ = nullptr;
  std::string violation_;
  Micros reasons_at_ = 0;
  std::map<std::pair<size_t, JournalView::Key>, Micros> leftover_since_;
  std::map<uint64_t, Micros> well_since_;  // jobs said to be under repair that train on
};

}  // namespace muster::sim
