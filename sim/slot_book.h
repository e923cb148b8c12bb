// How long each job held how many slots, told from the records alone: the judge of the ledger.
//
// It counts forward, record by record, where the core works the ledger out backwards from what it
// kept of the attempts; so what one forgets the other has. It knows no kinds, but for what must be
// in some of them.
//
// Time: of the records; it never goes back. Threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "coordinator/core/cluster.h"
#include "muster/v1/journal.pb.h"

namespace muster::sim {

class SlotBook {
 public:
  void Take(const v1::Record& record);

  // Asks the cluster whose records these are for the ledger of one job, another one every time, and
  // now and then for that of all. Empty, or "ledger: …".
  std::string Check(const coordinator::core::Cluster& cluster);

 private:
  struct Node {
    int64_t slots = 0;
    std::map<uint64_t, int64_t> held;  // by live attempts of these jobs; whole when exclusive
    uint64_t spare_for = 0;            // 0 = no spare
    int64_t Free() const;
  };
  struct Job {
    bool exclusive = false;
    bool stays = true;  // keeps its spares between attempts
    int64_t begin_ms = 0;
    int64_t end_ms = 0;  // 0 = not yet
    bool placed = false;
    bool live = false;
    bool suspended = false;
    bool requeued = false;
    std::map<std::string, int64_t> shares;  // of the newest attempt: slots of its ranks
    std::set<std::string> spares;
    int64_t slot_ms = 0;
    int64_t attempt_ms = 0;    // with an attempt
    int64_t measured_ms = 0;   // productive, of ended attempts
    int64_t stopping_ms = 0;   // between the record of a failure and the end of the attempt
    int64_t failed_at_ms = 0;  // of the live attempt; 0 = it did not
    bool failed = false;       // any attempt
  };

  void PassTime(int64_t now_ms);
  void Start(const v1::AttemptStarted& started);
  void End(const v1::AttemptEnded& ended);
  void FreeSpares(Job& job);
  std::string CheckJob(const coordinator::core::Cluster& cluster, uint64_t id) const;
  std::string CheckAll(const coordinator::core::Cluster& cluster) const;

  std::map<std::string, Node> nodes_;
  std::map<uint64_t, Job> jobs_;
  std::set<uint64_t> open_;  // jobs that hold something
  int64_t now_ms_ = 0;
  uint64_t checks_ = 0;
  uint64_t next_ = 0;  // the job to ask about
};

}  // namespace muster::sim
