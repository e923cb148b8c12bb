// The incidents, by id: a projection of the records of attempts, kept by apply_incidents.cc.
//
// An incident is open while a job it hit has neither caught up nor ended. The time of each such job
// is always in exactly one phase; moving on adds what passed to the phase that ends, so the phases
// add up to the time since the first evidence.
//
// Bounded: of those that are over the newest `kept` stay, each with at most 16 pieces of evidence.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/ids.h"
#include "muster/v1/incident.pb.h"

namespace muster::coordinator::core {

enum class RepairPhase { kStop, kReplace, kStart, kLoad, kRecompute, kOver };

// One job an incident hit.
struct HitJob {
  v1::IncidentJob view;
  int64_t first_ms = 0;  // its first evidence
  int64_t since_ms = 0;  // start of `phase`
  RepairPhase phase = RepairPhase::kStop;
  uint64_t stood = 0;  // the step to be reached again
  std::string end_reason;
};

// What was seen of one failed attempt.
struct SeenFailure {
  JobId job;
  uint64_t attempt = 0;
  std::vector<v1::Evidence> evidence;
  uint64_t left_out = 0;
};

struct IncidentEntry {
  v1::Incident facts;  // without jobs, state and text; with evidence once it is over
  std::map<JobId, HitJob> jobs;
  std::vector<SeenFailure> failures;  // until it is over; the first is what opened it
  int64_t opened_ms = 0;              // by the record that opened it
  std::set<std::string> lost;         // of facts.nodes, those that died

  bool over() const;
  // Of all failures, at most `most`; what does not fit is counted.
  void FillEvidence(int most, v1::Incident* incident) const;
};

class IncidentTable {
 public:
  explicit IncidentTable(size_t kept) : kept_(kept) {}

  uint64_t NextId() const { return last_id_ + 1; }
  IncidentEntry& Add(uint64_t id, int64_t opened_ms);
  IncidentEntry* Find(uint64_t id);
  const IncidentEntry* Find(uint64_t id) const;
  // The open one that hit the job; nullptr when there is none.
  IncidentEntry* OpenOf(JobId job);
  const IncidentEntry* OpenOf(JobId job) const;
  void SetOpen(JobId job, uint64_t incident) { open_of_[job] = incident; }
  void SetResolved(JobId job) { open_of_.erase(job); }
  const std::set<uint64_t>& open() const { return open_; }
  const std::map<uint64_t, IncidentEntry>& all() const { return all_; }

  // After every change. Closes it when it is over, and forgets the oldest closed ones.
  void Changed(IncidentEntry& entry, uint64_t revision);
  // Those changed since the last call, oldest change first.
  std::vector<uint64_t> TakeChanged();
  uint64_t forgotten_revision() const { return forgotten_; }  // newest change of one forgotten
  // Since the first, by blame.
  const std::map<v1::Blame, uint64_t>& over_by_blame() const { return over_by_blame_; }

 private:
  void Close(IncidentEntry& entry);

  const size_t kept_;
  uint64_t last_id_ = 0;
  uint64_t forgotten_ = 0;
  std::map<uint64_t, IncidentEntry> all_;
  std::set<uint64_t> open_;
  std::set<uint64_t> changed_;
  std::map<JobId, uint64_t> open_of_;
  std::map<v1::Blame, uint64_t> over_by_blame_;
};

// Ends the phase the job is in, at `now_ms`, and begins `next`.
void MoveOn(HitJob& job, RepairPhase next, int64_t now_ms);

double TotalSeconds(const v1::PhaseSeconds& seconds);

}  // namespace muster::coordinator::core
