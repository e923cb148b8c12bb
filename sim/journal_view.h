// What a journal says, kept apart from the core that wrote it, and judged record by record.
//
// Everything here can be told from the records alone: who holds which slot, which attempt may
// commit, which request had which effect. A record that breaks a rule of the cluster is named with
// the rule ("slots: slot 1 of n2 is given to job 4 while job 3 holds it").
//
// Time, threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "muster/v1/journal.pb.h"
#include "sim/case.h"

namespace muster::sim {

// Ranks of one attempt on one node.
struct PlacedShare {
  std::string node;
  std::vector<uint32_t> ranks;
  std::vector<uint32_t> slots;
};

class JournalView {
 public:
  using Key = std::pair<uint64_t, uint64_t>;  // job, attempt

  struct AttemptFacts {
    uint64_t started = 0;  // numbers of records; 0 = not yet
    uint64_t stopping = 0;
    uint64_t ended = 0;
    v1::AttemptOutcome outcome = v1::ATTEMPT_OUTCOME_UNSPECIFIED;
    std::vector<PlacedShare> shares;
    bool new_commit = false;  // of a step beyond all before
    bool live() const { return started > 0 && ended == 0; }
  };
  struct JobFacts {
    uint64_t submitted = 0;
    uint64_t ended = 0;
    v1::JobState end_state = v1::JOB_STATE_UNSPECIFIED;
    v1::JobSpec spec;
    std::string user;
    uint64_t array = 0;
    bool held = false;
    bool suspended = false;
    bool cancelled = false;
    uint64_t attempts = 0;
    uint64_t live_attempt = 0;  // 0 = none
    uint64_t slots = 0;         // held by it
    uint64_t best_step = 0;     // any attempt finished
    uint64_t best_commit = 0;
    uint64_t fruitless = 0;  // failures of ranks in a row, with neither bettered
    uint64_t losses = 0;     // of nodes, the same
    int64_t grown_ms = 0;    // when it was last stopped to take more; 0 = never
    std::set<std::pair<uint64_t, uint64_t>> good;  // committed, not marked bad: step, attempt
    std::set<std::pair<uint64_t, uint64_t>> bad;
  };
  struct NodeFacts {
    uint32_t slots = 0;
    v1::NodeAdmission admission = v1::NODE_ADMISSION_OPEN;
    bool dead = false;
    v1::Quarantine quarantine = v1::QUARANTINE_NONE;
    bool by_person = false;
    int64_t until_unix_ms = 0;
    uint64_t incarnation = 0;
    v1::Location location;
    std::map<uint32_t, uint64_t> used;  // slot → job
  };

  explicit JournalView(const Case* chosen) : case_(chosen) {}

  // The next record. Empty, or what is wrong with it: "invariant: …".
  std::string Take(const v1::Record& record);

  uint64_t count() const { return count_; }  // the number of the newest record
  uint64_t epoch() const { return epoch_; }
  const std::map<uint64_t, JobFacts>& jobs() const { return jobs_; }
  const std::map<std::string, NodeFacts>& nodes() const { return nodes_; }
  const JobFacts* Job(uint64_t job) const;
  const AttemptFacts* Attempt(uint64_t job, uint64_t attempt) const;
  // Numbers of the record; 0 = there is none.
  uint64_t PermitOf(uint64_t job, uint64_t attempt, uint64_t step) const;
  uint64_t RequestOf(const std::string& request_id) const;
  uint64_t JobOfRequest(const std::string& request_id) const;  // 0 = none
  uint64_t unfinished() const { return unfinished_; }
  const std::set<uint64_t>& live() const { return live_; }

 private:
  std::string UseRequest(const std::string& request_id, uint64_t job);
  std::string TakeSubmitted(const v1::JobSubmitted& submitted);
  std::string TakeStarted(const v1::AttemptStarted& started);
  std::string TakeEnded(const v1::AttemptEnded& ended);
  std::string TakePermit(const v1::CommitPermitted& permit);
  std::string TakeQuarantine(const v1::NodeQuarantineSet& set, int64_t unix_ms);
  std::string TakeJobEnded(const v1::JobEnded& ended);
  std::string TakeMarkedBad(const v1::CheckpointMarkedBad& marked);
  std::string TakeStopping(const v1::AttemptStopping& stopping, int64_t time_ms);
  void TakeCommitted(const v1::CheckpointCommitted& committed);
  std::string CheckGang(const v1::JobSpec& spec, const AttemptFacts& attempt) const;
  std::string CheckBlocks(const v1::JobSpec& spec, const AttemptFacts& attempt) const;
  std::string CheckLimits(uint64_t id, const JobFacts& job) const;
  std::string DomainOf(const std::string& node, v1::Domain domain) const;

  const Case* case_;
  uint64_t count_ = 0;
  uint64_t epoch_ = 0;
  uint64_t unfinished_ = 0;
  std::map<uint64_t, JobFacts> jobs_;
  std::map<Key, AttemptFacts> attempts_;
  std::map<std::string, NodeFacts> nodes_;
  std::map<std::string, v1::QueueSpec> queues_;
  std::map<std::string, std::pair<uint64_t, uint64_t>> requests_;  // record, job
  std::map<std::pair<Key, uint64_t>, std::pair<uint64_t, std::string>> permits_;
  std::set<uint64_t> live_;  // jobs with a live attempt
};

// Where the ranks of an attempt lie, by first rank.
std::vector<PlacedShare> SharesOf(const v1::AttemptStarted& started);

}  // namespace muster::sim
