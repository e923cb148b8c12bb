// Replays the faults of a cluster against the real coordinator core, in virtual time.
//
// The core gets the inputs a daemon would give it, and its WakeAt says when it wants a Tick. What
// is light is the other side: workers and ranks exist only as far as they change something. A
// worker's heartbeats are folded (silence is judged as never; a machine that goes is reported by
// its broken stream, so that it is dead as late as measured), and the ranks of an attempt are one
// Gang.
//
// One seed, one result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/core/cluster.h"
#include "sim/agenda.h"
#include "sim/random.h"
#include "sim/replay/fault.h"
#include "sim/replay/gang.h"
#include "sim/replay/outages.h"
#include "sim/replay/picture.h"
#include "sim/replay/recovery_costs.h"
#include "sim/replay/time_book.h"
#include "sim/replay/workload.h"

namespace muster::sim::replay {

struct ReplayOptions {
  uint64_t seed = 1;
  Micros span = 0;
  BigJob big;  // nodes, spares, shrink_to
  SmallJobs small;
  Micros interval = 0;  // between saves
  bool stock = false;   // the policy of machines without a coordinator of this kind
  RecoveryCosts costs;
  uint32_t rack = 15;         // nodes
  uint32_t picture_bins = 0;  // of time; 0 = no picture
};

struct JobTimes {
  explicit JobTimes(Micros bin) : book(bin) {}
  std::string name;
  Micros submitted = 0;
  Micros placed = -1;  // first
  bool ended = false;
  v1::JobState end_state = v1::JOB_STATE_UNSPECIFIED;
  std::string end_reason;
  uint32_t nodes = 0;  // asked for
  uint64_t attempts = 0;
  TimeBook book;
};

struct ReplayResult {
  std::vector<Outage> outages;        // of all jobs, by time
  std::map<uint64_t, JobTimes> jobs;  // the big one is 1
  uint64_t faults = 0;                // that came
  uint64_t faults_hit_big = 0;
  v1::Ledger core;  // the coordinator's own, of the big job
  uint64_t inputs = 0;
  uint64_t records = 0;
  uint64_t commands = 0;
  uint64_t checkpoints = 0;
  Picture picture;
};

class Replay {
 public:
  // `faults`: as Merged, of nodes below big.nodes + big.spares.
  Replay(const ReplayOptions& options, std::vector<Fault> faults);
  ~Replay();
  ReplayResult Run();

  // For gangs.
  Agenda& agenda() { return agenda_; }
  const ReplayOptions& options() const { return options_; }
  JobTimes& TimesOf(uint64_t job) { return result_.jobs.at(job); }
  Outages& outages() { return outages_; }
  // From the node's worker; nothing when it is not connected.
  void Say(uint32_t node, const coordinator::core::Input& said);
  // A checkpoint of the job is committed: deletes the oldest beyond `keep`.
  void Prune(uint64_t job, uint64_t attempt, uint32_t node, const v1::CheckpointRef& newest,
             uint64_t keep);
  uint64_t SessionOf(uint32_t node) const { return nodes_[node].session; }  // 0 = none
  bool IsWell(uint32_t node) const { return !nodes_[node].broken; }
  std::string NameOf(uint32_t node) const;
  int64_t UnixMicros() const;  // by the clock of all machines

 private:
  struct Node {
    uint64_t session = 0;
    uint64_t life = 0;
    bool broken = false;
    std::vector<std::weak_ptr<Gang>> gangs;
  };
  using Key = std::pair<uint64_t, uint64_t>;

  absl::Time Now() const;
  void Step(const coordinator::core::Input& input);
  void OnRecord(const v1::Record& record);
  void OnSubmitted(const v1::JobSubmitted& submitted);
  void OnStarted(const v1::AttemptStarted& started);
  void OnStopping(const v1::AttemptStopping& stopping);
  void OnCommand(const coordinator::core::SendToWorker& send);
  void OnStart(uint32_t node, const v1::StartRanks& start);
  void OnStop(uint32_t node, const v1::StopRanks& stop);
  void Connect(uint32_t node);
  void Disconnect(uint32_t node, const std::string& why);
  void Strike(const Fault& fault);
  void Notice(const Fault& fault);
  void Submit(v1::JobSpec spec);
  void SubmitSmall();
  v1::Rung RungOf(const v1::AttemptStarted& started, std::vector<std::string> nodes);
  void RunUntil(Micros until);
  void Finish();

  const ReplayOptions options_;
  const std::vector<Fault> faults_;
  Random dice_;
  Agenda agenda_;
  coordinator::core::Cluster cluster_;
  Outages outages_;
  std::vector<Node> nodes_;
  std::map<Key, std::shared_ptr<Gang>> gangs_;
  ReplayResult result_;
  uint64_t requests_ = 0;
  uint64_t small_jobs_ = 0;
  std::map<uint64_t, std::vector<v1::CheckpointRef>> kept_;  // by job, oldest first
  std::vector<std::string> placed_on_;                       // the big job's nodes, sorted
};

}  // namespace muster::sim::replay
